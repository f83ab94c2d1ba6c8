"""What a question points at: trees that know both their program and their words.

Each reference gives a set of objects (`compile`) and a noun phrase (`say`). Inner references stand for one object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from vision.scenes.nouns import SIZE_STEMS
from vision.scenes.programs import Program, Step
from vision.scenes.vocabulary import HELD_OUT_PAIRS, Where
from vision.scenes.wording import Wording, fill

Predicate = tuple[str, str]  # attribute, value


class Builder:
    """Collects the steps of a program, and which step asks for exactly one of which reference."""

    def __init__(self) -> None:
        self.references: dict[int, Reference] = {}  # number of the step -> what it looked for
        self._steps: list[Step] = []

    def add(self, op: str, *of: int, **args: str) -> int:
        """Append a step; returns its number. The same step is never written twice."""
        step = Step(op, of, args)
        if step in self._steps:
            return self._steps.index(step)
        self._steps.append(step)
        return len(self._steps) - 1

    def filtered(self, given: int, where: Where) -> int:
        """Those that match; nothing to add if everything does."""
        return self.add("filter", given, **where) if where else given

    def unique(self, reference: Reference) -> int:
        """The one object a reference stands for."""
        step = self.add("unique", reference.compile(self))
        self.references[step] = reference
        return step

    def program(self) -> Program:
        """All steps; the last is the answer."""
        return tuple(self._steps)


class Reference(Protocol):
    """Something a question points at."""

    def compile(self, builder: Builder) -> int:
        """Add its steps; returns the number of the one that holds the set."""
        ...

    def say(self, words: Wording) -> str:
        """A noun phrase, remembered in `words`."""
        ...

    def nodes(self) -> Iterator[Reference]:
        """Itself and what it contains."""
        ...


@dataclass(frozen=True, eq=False)
class Described:
    """빨간 공: all that have these attributes."""

    where: Where

    def compile(self, builder: Builder) -> int:
        return builder.filtered(builder.add("all"), self.where)

    def say(self, words: Wording) -> str:
        return words.remember(self, words.nouns.phrase(self.where))

    def nodes(self) -> Iterator[Reference]:
        yield self


@dataclass(frozen=True, eq=False)
class Beside:
    """빨간 공 왼쪽에 있는 상자."""

    anchor: Reference
    side: str
    where: Where

    def compile(self, builder: Builder) -> int:
        anchor = builder.unique(self.anchor)
        return builder.filtered(builder.add("beside", anchor, side=self.side), self.where)

    def say(self, words: Wording) -> str:
        anchor = self.anchor.say(words)
        values = {"x": anchor, "side": words.side(self.side), "y": words.nouns.phrase(self.where, after_clause=True)}
        return words.remember(self, fill(words.template("link.beside"), values))

    def nodes(self) -> Iterator[Reference]:
        yield self
        yield from self.anchor.nodes()


@dataclass(frozen=True, eq=False)
class Alike:
    """빨간 공과 크기가 같은 다른 상자."""

    anchor: Reference
    attribute: str
    where: Where

    def compile(self, builder: Builder) -> int:
        anchor = builder.unique(self.anchor)
        return builder.filtered(builder.add("alike", anchor, attribute=self.attribute), self.where)

    def say(self, words: Wording) -> str:
        anchor = self.anchor.say(words)
        values = {
            "x": anchor,
            "attr": words.attribute(self.attribute),
            "y": words.nouns.phrase(self.where, after_clause=True),
        }
        return words.remember(self, fill(words.template("link.alike"), values))

    def nodes(self) -> Iterator[Reference]:
        yield self
        yield from self.anchor.nodes()


@dataclass(frozen=True, eq=False)
class Outermost:
    """맨 왼쪽에 있는 상자."""

    side: str
    where: Where

    def compile(self, builder: Builder) -> int:
        among = builder.filtered(builder.add("all"), self.where)
        return builder.add("outermost", among, side=self.side)

    def say(self, words: Wording) -> str:
        values = {"side": words.side(self.side), "y": words.nouns.phrase(self.where, after_clause=True)}
        return words.remember(self, fill(words.template("link.outermost"), values))

    def nodes(self) -> Iterator[Reference]:
        yield self


@dataclass(frozen=True, eq=False)
class Logic:
    """Two predicates joined: 빨간색이거나 금속인 물체 (or), 금속이면서 큰 물체 (and), 빨간색이 아닌 공 (not),
    빨간색도 파란색도 아닌 공 (nor)."""

    kind: Literal["or", "and", "not", "nor"]
    one: Predicate
    other: Predicate | None  # None for `not`
    where: Where

    def compile(self, builder: Builder) -> int:
        given = builder.filtered(builder.add("all"), self.where)
        first = builder.filtered(given, dict([self.one]))
        if self.other is None:
            return builder.add("minus", given, first)
        second = builder.filtered(given, dict([self.other]))
        if self.kind == "nor":
            return builder.add("minus", given, builder.add("union", first, second))
        return builder.add("union" if self.kind == "or" else "both", first, second)

    def say(self, words: Wording) -> str:
        thing = words.nouns.phrase(self.where, after_clause=True)
        first, second = self.one, self.other
        if self.kind == "not":
            text = f"{_negated(first, words)} {thing}"
        elif second is None:
            raise ValueError(f"{self.kind!r} joins two predicates, one was given")
        elif self.kind == "nor":
            text = f"{_noun(first, words)}도 {_noun(second, words)}도 아닌 {thing}"
        elif self.kind == "or" and first[0] == second[0] == "shape":
            text = fill("{p:이나/나} {q}", {"p": _noun(first, words), "q": _noun(second, words)})
        else:
            text = f"{_joined(first, self.kind, words)} {_closing(second, words)} {thing}"
        return words.remember(self, text)

    def nodes(self) -> Iterator[Reference]:
        yield self


def hops(*references: Reference) -> int:
    """How many times one must go from an object to others, or search for the outermost."""
    return sum(isinstance(node, Beside | Alike | Outermost) for r in references for node in r.nodes())


def names_held_out_pair(reference: Reference) -> bool:
    """Whether a colour and a shape that training keeps apart are named together anywhere in it."""
    for node in reference.nodes():
        told = list(getattr(node, "where", {}).items())
        if isinstance(node, Logic):
            told += [p for p in (node.one, node.other) if p is not None]
        colours = {value for attribute, value in told if attribute == "colour"}
        shapes = {value for attribute, value in told if attribute == "shape"}
        if any((colour, shape) in HELD_OUT_PAIRS for colour in colours for shape in shapes):
            return True
    return False


def _noun(predicate: Predicate, words: Wording) -> str:
    return words.nouns.name(predicate[1])


def _negated(predicate: Predicate, words: Wording) -> str:
    if predicate[0] == "size":
        return f"{SIZE_STEMS[predicate[1]]}지 않은"
    return fill("{p:이/가} 아닌", {"p": _noun(predicate, words)})


def _joined(predicate: Predicate, kind: str, words: Wording) -> str:
    """크거나, 크면서; 빨간색이거나, 빨간색이면서."""
    if predicate[0] == "size":
        stem = SIZE_STEMS[predicate[1]]
        return f"{stem}거나" if kind == "or" else "크면서" if stem == "크" else "작으면서"
    return _noun(predicate, words) + ("이거나" if kind == "or" else "이면서")


def _closing(predicate: Predicate, words: Wording) -> str:
    """큰; 빨간색인."""
    if predicate[0] == "size":
        return {"large": "큰", "small": "작은"}[predicate[1]]
    return _noun(predicate, words) + "인"
