"""What comes from anybody becomes a picture without a past, or is refused by name."""

from __future__ import annotations

import io
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import (
    NunmalError,
    PictureAnimated,
    PictureBroken,
    PictureColoursUnknown,
    PictureEmpty,
    PictureKindUnknown,
    PictureTooManyPixels,
)
from tests.picture_files import GPS, animated, bomb, cmyk, drawing, encoded, photo, png
from web.pictures.clean import JPEG, PNG, THUMBNAIL_SIDE, CleanPicture, clean, kind_of

HEIC = Path(__file__).with_name("drawing.heic").read_bytes()
SIDE = 1536


def cleaned(data: bytes, side: int = SIDE) -> CleanPicture:
    return clean(data, most_pixels=50_000_000, longest_side=side)


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def difference(picture: Image.Image, other: Image.Image) -> float:
    """The largest of a channel, of a whole channel."""
    both = [np.asarray(each.convert("RGB"), float) for each in (picture, other)]
    return float(np.abs(both[0] - both[1]).mean() / 255)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_each_kind_is_known_by_its_first_bytes_and_keeps_its_pixels(kind: str) -> None:
    data = encoded(drawing(), kind, **({"quality": 95} if kind != "PNG" else {}))
    picture = cleaned(data)

    assert kind_of(data) == kind
    assert (picture.width, picture.height) == (64, 48)
    assert difference(opened(picture.data), drawing()) < 0.03


def test_heic_as_telephones_make_it_is_read() -> None:
    picture = cleaned(HEIC)

    assert kind_of(HEIC) == "HEIF"
    assert picture.mime == JPEG
    assert difference(opened(picture.data), drawing()) < 0.03


def test_a_drawing_stays_exact() -> None:
    picture = cleaned(png())

    assert picture.mime == PNG
    assert difference(opened(picture.data), drawing()) == 0


def test_a_lossless_picture_that_would_be_huge_becomes_a_jpeg() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8))
    picture = cleaned(encoded(noise))

    assert picture.mime == JPEG
    assert len(picture.data) < 2 << 20


def test_nothing_of_the_files_past_is_left() -> None:
    data = photo()
    picture = cleaned(data)

    assert GPS.encode() in data
    for kept in (picture.data, picture.thumbnail):
        assert GPS.encode() not in kept
        assert "김하늘".encode() not in kept
        assert b"Exif" not in kept
        assert not opened(kept).getexif()
        assert set(opened(kept).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_as_its_camera_was_held(orientation: int) -> None:
    picture = cleaned(photo(orientation))

    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]  # PIL's Transpose
    expected = drawing() if turned is None else drawing().transpose(Image.Transpose(turned))
    assert (picture.width, picture.height) == expected.size
    assert difference(opened(picture.data), expected) < 0.03


def test_what_is_too_long_is_scaled_and_keeps_its_shape() -> None:
    picture = cleaned(png(900, 300), side=300)
    thumbnail = opened(picture.thumbnail)

    assert (picture.width, picture.height) == (300, 100)
    assert opened(picture.data).size == (300, 100)
    assert max(opened(cleaned(png(900, 300)).thumbnail).size) == THUMBNAIL_SIDE
    assert thumbnail.size == (300, 100)
    assert cleaned(png(4000, 2), side=300).height == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png_is_read(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(drawing().convert("L"), np.uint16) * 257)
    else:
        picture = drawing().convert(mode)
    expected = drawing().convert("L" if mode not in ("P", "RGBA", "1") else mode).convert("RGB")

    assert difference(opened(cleaned(encoded(picture)).data), expected) < 0.02


def test_what_is_transparent_is_white() -> None:
    picture = drawing().convert("RGBA")
    picture.putalpha(0)

    assert opened(cleaned(encoded(picture)).data).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", PictureEmpty),
        ("안녕하세요, 저는 글이에요.".encode(), PictureKindUnknown),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", PictureKindUnknown),
        (encoded(drawing(), "GIF"), PictureKindUnknown),
        (encoded(drawing(), "AVIF"), PictureKindUnknown),
        (bomb(), PictureTooManyPixels),
        (bomb(2_000_000_000, 1), PictureTooManyPixels),
        (bomb(5_000, 5_000), PictureBroken),  # too few rows
        (photo()[:-200], PictureBroken),
        (png()[:-30], PictureBroken),
        (encoded(drawing(), "WEBP")[:-20], PictureBroken),
        (HEIC[:-200], PictureBroken),
        (photo()[:3] + bytes(1000), PictureBroken),
        (animated("WEBP"), PictureAnimated),
        (animated("PNG"), PictureAnimated),
        (cmyk(), PictureColoursUnknown),
        (cmyk(b"no profile"), PictureColoursUnknown),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else f"{len(value)} bytes",
)
def test_what_is_no_picture_of_ours_is_refused_by_name(data: bytes, kind: type[NunmalError]) -> None:
    with pytest.raises(kind):
        cleaned(data)


def test_a_bomb_costs_nothing() -> None:
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PictureTooManyPixels) as refused:
        cleaned(bomb())

    assert refused.value.facts == {"width": 50_000, "height": 50_000, "limit": 50}
    assert time.process_time() - before < 0.2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 20_000  # KiB


def test_colours_under_a_profile_are_told_in_srgb() -> None:
    """Display P3's green, which telephones photograph, is a stronger green than sRGB's own of the same numbers."""
    profile = Path(__file__).with_name("swapped.icc").read_bytes()
    green = Image.new("RGB", (8, 8), (40, 200, 60))

    seen = opened(cleaned(encoded(green, icc_profile=profile)).data).getpixel((4, 4))
    assert isinstance(seen, tuple)
    assert "icc_profile" not in opened(cleaned(encoded(green, icc_profile=profile)).data).info
    assert max(abs(a - b) for a, b in zip(seen, (200, 40, 60), strict=True)) <= 6


def test_a_profile_that_cannot_be_read_is_left_aside() -> None:
    picture = cleaned(encoded(drawing(), icc_profile=b"no profile"))

    assert difference(opened(picture.data), drawing()) == 0
