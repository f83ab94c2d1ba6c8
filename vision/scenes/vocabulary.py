"""What objects can be, and what may only be seen in the compositional split.

Values have English ids (in files and programs) and one Korean name each (in short answers). The many
ways to say them in a question are in `nouns.py`; how they look is in `looks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

Where = Mapping[str, str]  # attribute -> value: what a description says of an object

VALUES: dict[str, tuple[str, ...]] = {
    "size": ("small", "large"),
    "colour": ("red", "orange", "yellow", "green", "sky", "blue", "purple", "grey"),
    "material": ("metal", "rubber"),
    "shape": ("sphere", "cube", "cylinder", "cone", "torus"),
}
ATTRIBUTES = tuple(VALUES)

NAMES: dict[str, str] = {
    "small": "작은 것",
    "large": "큰 것",
    "red": "빨간색",
    "orange": "주황색",
    "yellow": "노란색",
    "green": "초록색",
    "sky": "하늘색",
    "blue": "파란색",
    "purple": "보라색",
    "grey": "회색",
    "metal": "금속",
    "rubber": "고무",
    "sphere": "구",
    "cube": "정육면체",
    "cylinder": "원기둥",
    "cone": "원뿔",
    "torus": "도넛",
    "left": "왼쪽",
    "right": "오른쪽",
    "front": "앞쪽",
    "behind": "뒤쪽",
    "equal": "같음",
}
SIDES = ("left", "right", "front", "behind")
YES, NO, CANNOT_TELL = "네", "아니요", "알 수 없습니다"

# Colour and shape of one object, never together outside the compositional split: one shape for each colour,
# so every colour and every shape is still seen with many others.
HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("red", "cone"),
        ("orange", "torus"),
        ("yellow", "cylinder"),
        ("green", "cube"),
        ("sky", "cone"),
        ("blue", "sphere"),
        ("purple", "torus"),
        ("grey", "cylinder"),
    }
)


def is_held_out(where: Where) -> bool:
    """Whether these attributes name a colour and a shape that are kept apart in training."""
    return (where.get("colour", ""), where.get("shape", "")) in HELD_OUT_PAIRS
