"""Picture files as people, and those who mean harm, send them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

GPS = "37.5665, 126.9780"  # in the EXIF of `photo`


def drawing(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """Large plain areas with a mark in the upper left corner, different for every seed."""
    pixels = np.full((height, width, 3), (240, 235, 225), np.uint8)
    colour = np.random.default_rng(seed).integers(0, 200, 3)
    pixels[: height // 3, : width // 3] = colour
    return Image.fromarray(pixels)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()


def png(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    return encoded(drawing(width, height, seed))


def photo(orientation: int = 1, **options: Any) -> bytes:
    """A JPEG with EXIF: how the camera was held, where it stood, and whose it is."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x013B] = "김하늘"  # artist
    exif[0x010E] = GPS
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (37.0, 33.0, 59.0)
    return encoded(drawing(), "JPEG", quality=95, exif=exif, comment=GPS.encode(), **options)


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few hundred bytes whose header promises so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))

    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [drawing(seed=seed) for seed in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def cmyk(profile: bytes | None = None) -> bytes:
    return encoded(drawing().convert("CMYK"), "JPEG", quality=95, icc_profile=profile)


def wide_gamut() -> tuple[bytes, bytes]:
    """A profile in which the same numbers are other colours than in sRGB, and a PNG with it."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return profile, encoded(drawing(), icc_profile=profile)
