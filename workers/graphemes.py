"""Where a text's last visible character may still change: emoji sequences, flags and conjoining jamo.

A small part of Unicode's text segmentation (UAX 29), enough to keep a stream from showing a family as three people or a
syllable as loose letters. Ordinary letters and precomposed syllables are never held back.
"""

from __future__ import annotations

_JOINER = 0x200D
_LONGEST = 24  # code points; a longer run is not a character anybody reads


def open_cluster_length(text: str) -> int:
    """How many code points at the end may still join with what follows; 0 if the text ends in a settled character."""
    if not text or not (_is_extending(ord(text[-1])) or _is_open(ord(text[-1]))):
        return 0
    start = len(text) - 1
    while start > 0 and _joins(ord(text[start - 1]), ord(text[start])) and len(text) - start <= _LONGEST:
        start -= 1
    length = len(text) - start
    return length if length <= _LONGEST and any(_is_open(ord(character)) for character in text[start:]) else 0


def _joins(left: int, right: int) -> bool:
    if _is_extending(right) or left == _JOINER:
        return True
    return (_is_jamo(left) and _is_jamo(right)) or (_is_flag_letter(left) and _is_flag_letter(right))


def _is_open(code: int) -> bool:
    return code == _JOINER or _is_jamo(code) or _is_flag_letter(code) or _is_pictograph(code)


def _is_extending(code: int) -> bool:
    """Variation selectors, skin tones, keycap, joiner, tags."""
    return (
        code in (_JOINER, 0x20E3)
        or 0xFE00 <= code <= 0xFE0F
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    )


def _is_jamo(code: int) -> bool:
    return 0x1100 <= code <= 0x11FF or 0xA960 <= code <= 0xA97C or 0xD7B0 <= code <= 0xD7FB


def _is_flag_letter(code: int) -> bool:
    return 0x1F1E6 <= code <= 0x1F1FF


def _is_pictograph(code: int) -> bool:
    return 0x1F000 <= code <= 0x1FAFF or 0x2600 <= code <= 0x27BF or 0x2B00 <= code <= 0x2BFF
