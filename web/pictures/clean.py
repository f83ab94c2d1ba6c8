"""Bytes from anybody into a clean picture: what it is is told by its first bytes, what it costs by its header.

Nothing of the file survives but its pixels: turned as its EXIF says, in sRGB, on white where it was transparent, made
small enough, and encoded anew. Runs in a process of its own (cleaning_process.py), because decoders of C may crash.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageCms, ImageOps

from shared.errors import (
    NunmalError,
    PictureAnimated,
    PictureBroken,
    PictureColoursUnknown,
    PictureEmpty,
    PictureKindUnknown,
    PictureTooManyPixels,
)

Kind = Literal["PNG", "JPEG", "WEBP", "HEIF"]

PNG, JPEG = "image/png", "image/jpeg"
THUMBNAIL_SIDE = 320  # pixels
_LOSSLESS_BYTES = 2 << 20  # drawings and screenshots stay exact up to here
_QUALITY, _THUMBNAIL_QUALITY = 90, 80
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})
_MEGAPIXEL = 1_000_000
_DEEP = ("I", "F")  # 16 bits and more


@dataclass(frozen=True, slots=True)
class CleanPicture:
    """Ready to be kept."""

    data: bytes
    mime: str  # PNG or JPEG
    width: int
    height: int
    thumbnail: bytes  # JPEG


def kind_of(data: bytes) -> Kind | None:
    """By its first bytes; None: none of what we take."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        length = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
        return "HEIF" if brands & _HEIC_BRANDS else None
    return None


def clean(data: bytes, *, most_pixels: int, longest_side: int) -> CleanPicture:
    """Takes up to seconds and 4 bytes a pixel.

    Raises PictureEmpty, PictureKindUnknown, PictureTooManyPixels, PictureAnimated, PictureColoursUnknown and
    PictureBroken.
    """
    if not data:
        raise PictureEmpty
    kind = kind_of(data)
    if kind is None:
        raise PictureKindUnknown
    try:
        return _cleaned(data, kind, most_pixels, longest_side)
    except NunmalError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise PictureBroken from error


def _cleaned(data: bytes, kind: Kind, most_pixels: int, longest_side: int) -> CleanPicture:
    if kind == "HEIF":
        import pi_heif  # a megabyte of decoders that most people never need

        pi_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # ours is asked below, before anything is decoded
    with Image.open(io.BytesIO(data), formats=[kind]) as opened:
        width, height = opened.size
        if width * height > most_pixels:
            raise PictureTooManyPixels(width=width, height=height, limit=most_pixels // _MEGAPIXEL)
        if kind != "JPEG" and getattr(opened, "n_frames", 1) > 1 and (kind != "HEIF" or _is_sequence(data)):
            raise PictureAnimated
        if opened.mode == "CMYK" and not opened.info.get("icc_profile"):
            raise PictureColoursUnknown  # nobody can tell which inks were meant
        opened.draft("RGB" if opened.mode == "YCbCr" else opened.mode, (longest_side, longest_side))
        opened.load()
        picture = _flat(_turned(opened), longest_side)
    is_exact = kind == "PNG" or (kind == "WEBP" and data[12:16] == b"VP8L")
    encoded = _encoded(picture, PNG) if is_exact else b""
    mime = PNG if 0 < len(encoded) <= _LOSSLESS_BYTES else JPEG
    thumbnail = picture.copy()
    thumbnail.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return CleanPicture(
        encoded if mime == PNG else _encoded(picture, JPEG),
        mime,
        picture.width,
        picture.height,
        _encoded(thumbnail, JPEG, _THUMBNAIL_QUALITY),
    )


def _is_sequence(data: bytes) -> bool:
    """A film, not a still with others beside it."""
    return data[8:12] in (b"msf1", b"hevc", b"hevx")


def _turned(opened: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(opened)
    except Exception:  # EXIF that cannot be read says nothing
        return opened


def _flat(picture: Image.Image, longest_side: int) -> Image.Image:
    """RGB in sRGB, no longer than that, and nothing else: no metadata."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith(_DEEP):
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif "transparency" in picture.info or picture.mode in ("P", "PA", "LA", "La", "RGBa"):
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "RGB", "RGBA", "CMYK"):
        picture = picture.convert("RGB")
    scale = longest_side / max(picture.size)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    colours = picture.convert("RGB") if alpha else picture
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(_in_srgb(colours, profile), mask=alpha)
    return flat


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Raises PictureColoursUnknown: four inks under a profile that cannot be read."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
            assert converted is not None  # not in place
            return converted
        except (ImageCms.PyCMSError, OSError) as error:
            if picture.mode == "CMYK":
                raise PictureColoursUnknown from error
    return picture.convert("RGB")


def _encoded(picture: Image.Image, mime: str, quality: int = _QUALITY) -> bytes:
    written = io.BytesIO()
    if mime == PNG:
        picture.save(written, "PNG")
    else:
        picture.save(written, "JPEG", quality=quality, optimize=True)
    return written.getvalue()
