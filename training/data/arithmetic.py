"""Sums for the model: small whole numbers, results that are never negative and always right.

Most numbers are below ten, because a tiny model learns tables by heart and does not calculate.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Fill = Callable[[str, dict[str, str]], str]
FILLS_PER_PROBLEM = 4  # per wording and pass
FILLS_PER_PLAIN = 10
WORKSHEETS = 500  # per pass
SIGNS = {"add": "+", "sub": "-", "mul": "×", "div": "÷"}


@dataclass(frozen=True)
class Sum:
    """Up to three numbers and what they come to."""

    a: int
    b: int
    c: int
    r: int


def draw_sum(kind: str, rng: random.Random) -> Sum:
    """Numbers for a kind of sum. Raises: ValueError: unknown kind."""
    top = rng.choice((9, 9, 9, 9, 9, 12, 20, 20, 50))
    small = rng.choice((9, 9, 9, 12))
    if kind == "add":
        a, b = rng.randint(1, top), rng.randint(1, top)
        return Sum(a, b, 0, a + b)
    if kind == "sub":
        b, r = rng.randint(1, top), rng.randint(1, top)
        return Sum(b + r, b, 0, r)
    if kind == "mul":
        a, b = rng.randint(2, small), rng.randint(2, 9)
        return Sum(a, b, 0, a * b)
    if kind == "div":
        b, r = rng.randint(2, 9), rng.randint(2, small)
        return Sum(b * r, b, 0, r)
    if kind == "add3":
        a, b, c = (rng.randint(1, 9) for _ in range(3))
        return Sum(a, b, c, a + b + c)
    if kind == "sub2":
        b, c, r = (rng.randint(1, 6) for _ in range(3))
        return Sum(b + c + r, b, c, r)
    raise ValueError(f"unknown kind of sum {kind!r}; known: add, sub, mul, div, add3, sub2")


def problems(content: dict[str, Any], rng: random.Random, fill: Fill) -> Iterator[tuple[str, str]]:
    """Word problems, each wording filled several times."""
    for problem in content["problems"]:
        slots = {"name": content.get("names", [])} | (problem.get("slots") or {})
        for text in _as_list(problem["text"]):
            for _ in range(FILLS_PER_PROBLEM):
                yield _filled(problem["kind"], text, _as_list(problem["say"]), slots, rng, fill)


def plain(content: dict[str, Any], rng: random.Random, fill: Fill) -> Iterator[tuple[str, str]]:
    """Bare sums such as 3 더하기 4."""
    for kind, block in content["plain"].items():
        for text in _as_list(block["ask"]):
            for _ in range(FILLS_PER_PLAIN):
                yield _filled(kind, text, _as_list(block["say"]), {}, rng, fill)


def worksheets(content: dict[str, Any], rng: random.Random, fill: Fill) -> Iterator[tuple[str, str]]:
    """Several bare sums in one message: most of the tokens of such an answer are results."""
    for _ in range(WORKSHEETS):
        asked, answered = [], []
        for _ in range(rng.randint(3, 7)):
            kind = rng.choice(tuple(SIGNS))
            numbers = draw_sum(kind, rng)
            asked.append(f"{numbers.a} {SIGNS[kind]} {numbers.b}")
            answered.append(f"{asked[-1]} = {numbers.r}")
        yield fill(rng.choice(content["worksheets"]), {"sums": ", ".join(asked)}), ", ".join(answered)


def _filled(
    kind: str,
    text: str,
    says: list[str],
    slots: dict[str, list[Any]],
    rng: random.Random,
    fill: Fill,
) -> tuple[str, str]:
    numbers = draw_sum(kind, rng)
    values = {name: str(getattr(numbers, name)) for name in ("a", "b", "c", "r")}
    values |= {name: str(rng.choice(options)) for name, options in slots.items() if options}
    return fill(text, values), fill(rng.choice(says), values)


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
