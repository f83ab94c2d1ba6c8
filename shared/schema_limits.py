"""What a JSON Schema may ask for before it is compiled: llguidance's own limits come too late for some of it.

Whether a string can meet several patterns at once is looked for before any fuel is counted, and takes twice as long for
each of them: 8 take 20 ms, 14 take 6 s and 660 MB. A multiple of n needs n states, and two of them n * m. Objects take
quadratic time in their properties. Measured with llguidance 1.9.1. All of a schema is counted, wherever it stands,
because a `$ref` may point anywhere; the same pattern twice is one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from shared.errors import SchemaUnsupported

MOST_JOINED = 8  # different conditions on strings in a schema that may join them
MOST_PATTERNS = 100
MOST_PROPERTIES = 2000
LONGEST_PATTERN = 1000  # characters
MOST_REPEATS = 10_000  # the largest number in a pattern's {n,m}
MOST_STATES = 10_000  # of all multipleOf together
_STRING_LIMITS = ("minLength", "maxLength")
_BESIDE_A_REFERENCE = {
    "$ref",
    "anyOf",
    "title",
    "description",
    "default",
    "examples",
    "$defs",
    "definitions",
    "$schema",
}
_REPEATS = re.compile(r"\{\s*(\d*)\s*,?\s*(\d*)\s*\}")


def require_modest(schema: Any) -> None:
    """`schema`: parsed JSON. Raises SchemaUnsupported, with the limit."""
    objects = list(_objects(schema))
    if sum(len(value) for value in _values(objects, "properties") if isinstance(value, dict)) > MOST_PROPERTIES:
        raise SchemaUnsupported(reason=f"more than {MOST_PROPERTIES} properties")
    patterns = {value for value in _values(objects, "pattern") if isinstance(value, str)}
    for value in _values(objects, "patternProperties"):
        patterns.update(value if isinstance(value, dict) else ())
    for pattern in patterns:
        _require_modest_pattern(pattern)
    conditions = {("pattern", pattern) for pattern in patterns}
    for name in ("format", *_STRING_LIMITS):
        conditions.update((name, str(value)) for value in _values(objects, name) if not isinstance(value, dict))
    if len(conditions) > MOST_JOINED and any(map(_joins, objects)):
        raise SchemaUnsupported(reason=f"more than {MOST_JOINED} patterns, formats and lengths with allOf or the like")
    if len(patterns) > MOST_PATTERNS:
        raise SchemaUnsupported(reason=f"more than {MOST_PATTERNS} patterns")
    if math.prod(_steps(objects)) > MOST_STATES:
        raise SchemaUnsupported(reason=f"multipleOf beyond {MOST_STATES}, all of them multiplied")


def _require_modest_pattern(pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise SchemaUnsupported(reason=f"a pattern of more than {LONGEST_PATTERN} characters")
    numbers = (number for found in _REPEATS.findall(pattern) for number in found if number)
    if any(len(number) > len(str(MOST_REPEATS)) or int(number) > MOST_REPEATS for number in numbers):
        raise SchemaUnsupported(reason=f"a pattern with more than {MOST_REPEATS} repetitions")


def _steps(objects: list[dict[str, Any]]) -> set[int]:
    """The whole numbers that multiples are counted in: 2.5 is 25 tenths."""
    steps: set[int] = set()
    for value in _values(objects, "multipleOf"):
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            digits = repr(value).lower().partition("e")[0].replace(".", "").strip("0")
            steps.add(value if isinstance(value, int) else int(digits or "1"))
    return steps


def _joins(schema: dict[str, Any]) -> bool:
    """Whether a value may have to meet the conditions of several places."""
    if any(isinstance(schema.get(name), list) for name in ("allOf", "oneOf")):
        return True
    if isinstance(schema.get("patternProperties"), dict):
        return True
    is_referring = isinstance(schema.get("$ref"), str) or isinstance(schema.get("anyOf"), list)
    return is_referring and (not schema.keys() <= _BESIDE_A_REFERENCE or {"$ref", "anyOf"} <= schema.keys())


def _values(objects: list[dict[str, Any]], name: str) -> Iterator[Any]:
    return (each[name] for each in objects if name in each)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """All JSON objects in it, however deep."""
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
