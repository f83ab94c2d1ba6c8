"""The control tokens of visual reasoning. They are special tokens: whoever decodes an answer for people skips them."""

from __future__ import annotations

from vision.scenes.programs import OPERATIONS
from vision.scenes.vocabulary import ATTRIBUTES, SIDES, VALUES

GRID = 8  # cells both ways; the encoder has one patch for each
MOST_OBJECTS = 10
MOST_STEPS = 20


def control(name: str) -> str:
    """A name as it stands in the vocabulary."""
    return f"<|{name}|>"


IMAGE = control("image")  # one for each vector of a picture
SCENE, SCENE_END = control("scene"), control("scene_end")  # around the list of objects
IS = control("is")  # between a step and what it came to
NOTHING, UNKNOWN = control("nothing"), control("unknown")  # an empty set; after a step that failed
REASONS = ("absent", "ambiguous", "unseen_here")  # why a step failed
NUMBERS = tuple(control(f"object_{n}") for n in range(1, MOST_OBJECTS + 1))
CELLS = tuple(control(f"cell_{n}") for n in range(GRID * GRID))
DEPTHS = tuple(control(f"depth_{n}") for n in range(MOST_OBJECTS))  # 0: nothing stands nearer
STEPS = tuple(control(f"step_{n}") for n in range(MOST_STEPS))
COUNTS = tuple(control(f"count_{n}") for n in range(MOST_OBJECTS + 1))
YES, NO = control("yes"), control("no")
_WORDS = (*OPERATIONS, *ATTRIBUTES, *(v for values in VALUES.values() for v in values), *SIDES, "across", "along")
# `equal` is an operation and a value, and one token.
WORDS = tuple(control(word) for word in dict.fromkeys(_WORDS))

ALL: tuple[str, ...] = (
    IMAGE,
    SCENE,
    SCENE_END,
    IS,
    NOTHING,
    UNKNOWN,
    *map(control, REASONS),
    *NUMBERS,
    *CELLS,
    *DEPTHS,
    *STEPS,
    *COUNTS,
    YES,
    NO,
    *WORDS,
)
