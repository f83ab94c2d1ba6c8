"""Scans: PNG and JPEG, one page each, and what an engine needs to read the letters on a page."""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from shared.document_errors import DocumentBroken, DocumentUnpacksTooFar
from workers.ingest.parsing.parsed import MOST_UNPACKED_BYTES, ParsedPage, Scan

PICTURE_WIDTH, PICTURE_MOST_HEIGHT = 1000, 1600  # pixels of a page as people see it

_QUALITY = 75
_CHANNELS = 3
_SMALL_SIDE = 2000  # pixels; letters of a smaller picture are small too, and read better at twice their size
_LONGEST_SIDE = 4000


def is_picture(data: bytes) -> bool:
    """Whether its beginning says that it is a PNG or a JPEG of a size that is read."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            return opened.width * opened.height * _CHANNELS <= MOST_UNPACKED_BYTES
    except (Image.DecompressionBombError, UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False


def picture_page(data: bytes, number: int = 1) -> ParsedPage:
    """As it is held, whatever way the camera was. Raises DocumentBroken, DocumentUnpacksTooFar."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            if opened.width * opened.height * _CHANNELS > MOST_UNPACKED_BYTES:
                raise DocumentUnpacksTooFar(limit=MOST_UNPACKED_BYTES >> 20)
            shown = ImageOps.exif_transpose(opened)
            flat = Image.new("RGB", shown.size, "white")
            flat.paste(shown.convert("RGB"), mask=shown.convert("RGBA").getchannel("A"))
    except Image.DecompressionBombError as error:  # so large that it is not even opened
        raise DocumentUnpacksTooFar(limit=MOST_UNPACKED_BYTES >> 20) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DocumentBroken from error
    jpeg, width, height = pictured(flat)
    return ParsedPage(number, "", (), jpeg, width, height, scan_of(flat))


def pictured(image: Image.Image) -> tuple[bytes, int, int]:
    """An RGB picture as people see it: a JPEG, its width and height. Never larger than it is."""
    small = image.copy()
    small.thumbnail((PICTURE_WIDTH, PICTURE_MOST_HEIGHT))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue(), *small.size


def scan_of(image: Image.Image) -> Scan:
    longest = max(image.size)
    scale = 2.0 if longest <= _SMALL_SIDE else min(1.0, _LONGEST_SIDE / longest)
    gray = image.convert("L")
    if scale != 1.0:
        size = max(1, round(gray.width * scale)), max(1, round(gray.height * scale))
        gray = gray.resize(size, Image.Resampling.LANCZOS)
    return Scan(gray.width, gray.height, gray.tobytes())
