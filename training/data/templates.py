"""Expand the hand-written templates of training/data/templates/ into conversations.

An intent holds ways to ask and ways to answer, polite and casual; every answer fits every question of
its block, so they are paired by chance. The same seed gives the same rows. It writes no sentence of
its own: all words are in the YAML files.

How to run: `python -m training.data.templates [FILE.yaml]` prints a sample of rows.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from shared.particles import particle
from training.data import arithmetic, special
from training.data.rows import Conversation, single

TEMPLATE_DIR = Path(__file__).parent / "templates"
EXACT = "exact"  # label of rows whose question must be read to the letter
FILLS_PER_ASK = 3  # an ask with slots is filled this many times per pass
FILLS_PER_DIALOGUE = 8
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, in C where it is built
_PLACEHOLDER = re.compile(r"\{(\w+)(?::([^{}]*))?\}")

Slots = dict[str, list[Any]]


def fill(text: str, values: dict[str, str]) -> str:
    """Put values into `{slot}` and `{slot:을/를}`. Raises: KeyError: a slot has no value."""

    def replace(match: re.Match[str]) -> str:
        word = values[match[1]]
        return word + (particle(word, match[2]) if match[2] else "")

    return _PLACEHOLDER.sub(replace, text)


def has_slots(text: str) -> bool:
    """Whether a template still holds a placeholder."""
    return _PLACEHOLDER.search(text) is not None


def template_conversations(
    seed: int, weights: dict[str, float] | None = None, directory: Path = TEMPLATE_DIR
) -> Iterator[Conversation]:
    """All templates once, each ask with an answer drawn by `seed`.

    `weights` repeats (or thins) single files by their stem; a repeat draws again."""
    for path in sorted(directory.glob("*.yaml")):
        weight = (weights or {}).get(path.stem, 1.0)
        rng = random.Random(f"{seed}:{path.stem}")
        for _ in range(int(weight)):
            yield from expand_file(path, rng)
        if weight % 1:
            for row in expand_file(path, rng):
                if rng.random() < weight % 1:
                    yield row


def expand_file(path: Path, rng: random.Random) -> Iterator[Conversation]:
    """One pass over one template file."""
    content = _read(path)
    source = f"templates/{path.stem}"
    for intent in content.get("intents", []):
        yield from _intent(source, intent, rng)
    for dialogue in content.get("dialogues", []):
        yield _dialogue(source, dialogue, {}, rng)
    for template in content.get("dialogue_templates", []):
        for _ in range(FILLS_PER_DIALOGUE):
            yield _dialogue(source, template["turns"], template.get("slots", {}), rng)
    for key, expand in _SPECIAL.items():
        if key in content:
            for turns in expand(content, rng, fill):
                yield single(source, *turns, label=EXACT)


_SPECIAL: dict[str, Callable[..., Iterator[tuple[str, str]]]] = {
    "terms": special.computing,
    "pairs": special.style,
    "problems": arithmetic.problems,
    "plain": arithmetic.plain,
    "worksheets": arithmetic.worksheets,
}


@lru_cache(maxsize=256)
def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  # a safe loader
    return content or {}


def _draw(slots: Slots, rng: random.Random) -> dict[str, str]:
    return {name: str(rng.choice(values)) for name, values in slots.items()}


def _intent(source: str, intent: dict[str, Any], rng: random.Random) -> Iterator[Conversation]:
    slots: Slots = intent.get("slots") or {}
    for register in ("polite", "casual"):
        block = intent.get(register)
        if not block:
            continue
        for ask in block["ask"]:
            for _ in range(FILLS_PER_ASK if has_slots(ask) else 1):
                say = rng.choice(_answers(ask, block["say"]))
                values = _draw(slots, rng)
                yield single(source, fill(ask, values), fill(say, values))


def _answers(ask: str, says: list[str]) -> list[str]:
    """An answer may only name a slot that the question named; otherwise it would be a guess."""
    asked = {match[1] for match in _PLACEHOLDER.finditer(ask)}
    return [s for s in says if {m[1] for m in _PLACEHOLDER.finditer(s)} <= asked] or says


def _dialogue(source: str, turns: list[str], slots: Slots, rng: random.Random) -> Conversation:
    values = _draw(slots, rng)
    roles = ("user", "assistant")
    return Conversation(source, tuple((roles[i % 2], fill(text, values)) for i, text in enumerate(turns)), EXACT)


if __name__ == "__main__":
    _paths = [Path(p) for p in sys.argv[1:]] or sorted(TEMPLATE_DIR.glob("*.yaml"))
    for _path in _paths:
        _rows = list(expand_file(_path, random.Random(0)))
        print(f"{_path.name}: {len(_rows)} rows")
        for _row in random.Random(1).sample(_rows, min(5, len(_rows))):
            print("   ", " | ".join(text for _, text in _row.turns))
