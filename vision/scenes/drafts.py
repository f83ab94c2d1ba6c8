"""Draw one question of a family about a scene: what it points at, its program, and how it may be asked.

A draft is a proposal. Whether it is asked depends on its answer (`questions.py`), which only the executor knows, so a
maker may return None or a draft that is turned down.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vision.scenes.references import Alike, Beside, Builder, Described, Logic, Outermost, Predicate, Reference
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES, SIDES, VALUES, Where
from vision.scenes.wording import asking

UNSEEN = tuple(group.partition(".")[2] for group in asking() if group.startswith("unseen."))


@dataclass(frozen=True)
class Draft:
    """A question before it is put into words."""

    group: str  # its templates
    slots: dict[str, Reference]
    builder: Builder
    attribute: str | None = None
    side: str | None = None
    value: str | None = None  # a value or property the question names by itself
    pair: tuple[str, str] | None = None  # the two values of `most`


@dataclass(frozen=True)
class Draw:
    """A scene's objects and the chance that picks among them."""

    objects: Sequence[SceneObject]
    rng: random.Random
    wanted: bool  # the yes or no looked for; in `unanswerable`: whether nobody shall be able to tell

    def one(self) -> SceneObject:
        return self.rng.choice(self.objects)

    def attributes(self, most: int = 2, without: str | None = None) -> list[str]:
        """One to `most` attributes to describe things by."""
        usable = [a for a in ATTRIBUTES if a != without]
        return self.rng.sample(usable, self.rng.randint(1, most))

    def where(self, most: int = 2) -> Where:
        """A description that fits something, or that almost does: one value replaced."""
        model = self.one()
        where = {a: str(getattr(model, a)) for a in self.attributes(most)}
        if self.rng.random() < 0.5:
            changed = self.rng.choice(sorted(where))
            where[changed] = self.rng.choice([v for v in VALUES[changed] if v != where[changed]])
        return where

    def naming(
        self, target: SceneObject, among: Sequence[SceneObject] | None = None, without: str | None = None
    ) -> Where | None:
        """Attributes that fit only the target; short ones are likelier. None: no such words."""
        pool = self.objects if among is None else among
        usable = [a for a in ATTRIBUTES if a != without]
        found: list[tuple[float, Where]] = []
        for length in range(len(usable) + 1):
            for subset in itertools.combinations(usable, length):
                where = {a: str(getattr(target, a)) for a in subset}
                if sum(o.matches(where) for o in pool) == 1:
                    found.append((1 / (1 + length) ** 2, where))
        if among is None:
            found = [f for f in found if f[1]]
        if not found:
            return None
        return self.rng.choices([w for _, w in found], [weight for weight, _ in found])[0]

    def pointing(self, target: SceneObject, hops: int, without: str | None = None) -> Reference | None:
        """A reference to exactly the target, over this many other objects; the target's own words leave one
        attribute out."""
        if hops == 0:
            where = self.naming(target, without=without)
            return None if where is None else Described(where)
        if hops == 1 and self.rng.random() < 0.2:
            side = self.rng.choice(SIDES)
            attributes = self.attributes(1, without) if self.rng.random() < 0.7 else []
            return Outermost(side, {a: str(getattr(target, a)) for a in attributes})
        other = self.one()
        if other.id == target.id:
            return None
        inner = self.pointing(other, hops - 1)
        if inner is None:
            return None
        if self.rng.random() < 0.25:
            shared = [a for a in ATTRIBUTES if getattr(other, a) == getattr(target, a) and a != without]
            if not shared:
                return None
            attribute = self.rng.choice(shared)
            alike = [o for o in self.objects if o.id != other.id and getattr(o, attribute) == getattr(other, attribute)]
            where = self.naming(target, alike, without)
            return None if where is None else Alike(inner, attribute, _without(where, attribute))
        side = self.rng.choice([s for s in SIDES if target.is_beside(other, s)])
        where = self.naming(target, [o for o in self.objects if o.is_beside(other, side)], without)
        return None if where is None else Beside(inner, side, where)


def existence(draw: Draw, kind: str) -> Draft | None:
    where = draw.where(3)
    return _asked("existence.exist", "exist", Described(where))


def count(draw: Draw, kind: str) -> Draft | None:
    where = {} if draw.rng.random() < 0.08 else draw.where(2)
    return _asked("count.count", "count", Described(where))


def attribute(draw: Draw, kind: str) -> Draft | None:
    return _query(draw.pointing(draw.one(), 0, kind), kind)


def comparison(draw: Draw, kind: str) -> Draft | None:
    builder = Builder()
    if kind == "agree":
        about = draw.rng.choice(ATTRIBUTES)
        one, other = draw.rng.sample(list(draw.objects), 2)
        a, b = draw.pointing(one, 0, about), draw.pointing(other, 0, about)
        if a is None or b is None:
            return None
        builder.add("agree", builder.unique(a), builder.unique(b), attribute=about)
        return Draft("comparison.agree", {"a": a, "b": b}, builder, attribute=about)
    about = draw.rng.choice(ATTRIBUTES)
    first, second = _two_values(draw, about)
    common: dict[str, str] = {}
    if draw.rng.random() < 0.35:
        beyond = draw.rng.choice([x for x in ATTRIBUTES if x != about])
        common = {beyond: str(getattr(draw.one(), beyond))}
    one_set, other_set = Described({**common, about: first}), Described({**common, about: second})
    counts = [builder.add("count", r.compile(builder)) for r in (one_set, other_set)]
    slots: dict[str, Reference] = {"a": one_set, "b": other_set}
    if kind == "most":
        builder.add("most", *counts, first=first, second=second)
        return Draft("comparison.most", slots, builder, pair=(first, second))
    builder.add(kind, *counts)
    return Draft(f"comparison.{kind}", slots, builder)


def spatial(draw: Draw, kind: str) -> Draft | None:
    if kind == "outermost":
        wanted = draw.rng.choice(ATTRIBUTES)
        where = {} if draw.rng.random() < 0.5 else _of(draw.one(), draw.attributes(1, wanted))
        return _query(Outermost(draw.rng.choice(SIDES), where), wanted)
    one, other = draw.rng.sample(list(draw.objects), 2)
    b = draw.pointing(other, 0)
    if b is None:
        return None
    if kind in ("exist", "count"):
        reference = Beside(b, draw.rng.choice(SIDES), draw.where(2))
        return _asked("existence.exist" if kind == "exist" else "count.count", kind, reference)
    a = draw.pointing(one, 0)
    return None if a is None else _placed(kind, a, b, draw.rng)


def chain(draw: Draw, kind: str) -> Draft | None:
    hops = draw.rng.choice((1, 2, 2, 3, 3))
    if kind == "query":
        wanted = draw.rng.choice(ATTRIBUTES)
        return _query(draw.pointing(draw.one(), hops, wanted), wanted)
    inner = draw.pointing(draw.one(), hops - 1)
    if inner is None:
        return None
    where = draw.where(1)
    last: Reference = Beside(inner, draw.rng.choice(SIDES), where)
    if draw.rng.random() < 0.3:
        shared = draw.rng.choice(ATTRIBUTES)
        last = Alike(inner, shared, _without(where, shared))
    return _asked("existence.exist" if kind == "exist" else "count.count", kind, last)


def logic(draw: Draw, kind: str) -> Draft | None:
    about = draw.rng.choice(ATTRIBUTES)
    builder = Builder()
    if kind == "every":
        of, said = draw.rng.sample([a for a in ATTRIBUTES if a != "size"], 2)
        group = Described(_of(draw.one(), [of, "size"] if draw.rng.random() < 0.4 else [of]))
        value = str(getattr(draw.one(), said))
        given = group.compile(builder)
        builder.add("every", given, builder.filtered(given, {said: value}))
        return Draft("logic.every", {"a": group}, builder, attribute=said, value=value)
    if kind == "sum":
        first, second = _two_values(draw, about)
        a, b = Described({about: first}), Described({about: second})
        builder.add("count", builder.add("union", a.compile(builder), b.compile(builder)))
        return Draft("logic.sum", {"a": a, "b": b}, builder)
    if kind == "rest":
        left_out = Described(_of(draw.one(), draw.attributes(2)))
        builder.add("count", builder.add("minus", builder.add("all"), left_out.compile(builder)))
        return Draft("logic.rest", {"a": left_out}, builder)
    joint, _, asked = kind.partition(" ")
    reference = _joined(draw, joint, about)
    return _asked("existence.exist" if asked == "exist" else "count.count", asked, reference)


def unanswerable(draw: Draw, kind: str) -> Draft | None:
    """Half can be answered: they are asked in the same words, so the words alone tell nothing (but for `unseen`)."""
    wanted = draw.rng.choice(ATTRIBUTES)
    if kind == "unseen":
        return _unseen(draw) if draw.wanted else _query(draw.pointing(draw.one(), 0, wanted), wanted)
    a = _doubtful(draw, wanted if kind == "query" else None)
    if kind == "query":
        return _query(a, wanted)
    if kind == "chain":
        return _query(Beside(a, draw.rng.choice(SIDES), _of(draw.one(), draw.attributes(1, wanted))), wanted)
    other = draw.one()
    b = draw.pointing(other, 0)
    if b is None or any(o.id == other.id and o.matches(a.where) for o in draw.objects):
        return None
    first, second = (a, b) if draw.rng.random() < 0.5 else (b, a)
    return _placed(kind, first, second, draw.rng)


# Family -> what drafts it, and its kinds of question; one that stands twice is asked twice as often.
FAMILIES: dict[str, tuple[Callable[[Draw, str], Draft | None], tuple[str, ...]]] = {
    "existence": (existence, ("exist",)),
    "count": (count, ("count",)),
    "attribute": (attribute, ATTRIBUTES),
    "comparison": (comparison, ("more", "fewer", "equal", "most", "agree")),
    "spatial": (spatial, ("is_beside", "is_beside", "side", "exist", "count", "outermost")),
    "chain": (chain, ("query", "query", "exist", "count")),
    "logic": (
        logic,
        (
            "or exist",
            "or count",
            "and exist",
            "and count",
            "not exist",
            "not count",
            "nor count",
            "every",
            "sum",
            "rest",
        ),
    ),
    "unanswerable": (unanswerable, ("query", "query", "side", "is_beside", "chain", "chain", "unseen")),
}


def _asked(group: str, op: str, reference: Reference) -> Draft:
    builder = Builder()
    builder.add(op, reference.compile(builder))
    return Draft(group, {"a": reference}, builder)


def _query(reference: Reference | None, attribute: str) -> Draft | None:
    if reference is None:
        return None
    builder = Builder()
    builder.add("query", builder.unique(reference), attribute=attribute)
    return Draft(f"attribute.{attribute}", {"a": reference}, builder, attribute=attribute)


def _placed(kind: str, a: Reference, b: Reference, rng: random.Random) -> Draft:
    builder = Builder()
    steps = builder.unique(a), builder.unique(b)
    if kind == "side":
        axis: Literal["across", "along"] = rng.choice(("across", "along"))
        builder.add("side", *steps, axis=axis)
        return Draft(f"spatial.{axis}", {"a": a, "b": b}, builder)
    side = rng.choice(SIDES)
    builder.add("is_beside", *steps, side=side)
    return Draft("spatial.is_beside", {"a": a, "b": b}, builder, side=side)


def _doubtful(draw: Draw, without: str | None) -> Described:
    """A description of something: of one thing, of several, or of nothing. The answer decides which was wanted."""
    where = _of(draw.one(), draw.attributes(3, without))
    if draw.wanted and draw.rng.random() < 0.5:
        changed = draw.rng.choice(sorted(where))
        where[changed] = draw.rng.choice([v for v in VALUES[changed] if v != where[changed]])
    return Described(where)


def _unseen(draw: Draw) -> Draft | None:
    reference = draw.pointing(draw.one(), 0)
    if reference is None:
        return None
    hidden = draw.rng.choice(UNSEEN)
    builder = Builder()
    builder.add("unseen", builder.unique(reference), property=hidden)
    return Draft(f"unseen.{hidden}", {"a": reference}, builder, value=hidden)


def _joined(draw: Draw, kind: str, about: str) -> Logic:
    one: Predicate = (about, _value(draw, about))
    if kind == "not":
        where = {} if draw.rng.random() < 0.4 else _of(draw.one(), draw.attributes(1, about))
        return Logic("not", one, None, where)
    if kind == "and":
        beyond = draw.rng.choice([a for a in ATTRIBUTES if a != about])
        return Logic("and", one, (beyond, _value(draw, beyond)), {})
    if kind == "nor":
        about = draw.rng.choice(("colour", "shape"))
        first, second = _two_values(draw, about)
        where = {} if draw.rng.random() < 0.5 else _of(draw.one(), draw.attributes(1, about))
        where = {a: v for a, v in where.items() if a != "shape" or about != "shape"}
        return Logic("nor", (about, first), (about, second), where)
    if about in ("colour", "shape") and draw.rng.random() < 0.5:
        first, second = _two_values(draw, about)
        return Logic("or", (about, first), (about, second), {})
    beyond = draw.rng.choice([a for a in ATTRIBUTES if a != about])
    return Logic("or", one, (beyond, _value(draw, beyond)), {})


def _value(draw: Draw, about: str) -> str:
    """A value of this attribute; mostly one that something has."""
    return str(getattr(draw.one(), about)) if draw.rng.random() < 0.7 else draw.rng.choice(VALUES[about])


def _two_values(draw: Draw, about: str) -> tuple[str, str]:
    """Two different values of one attribute; mostly ones that things have."""
    first = _value(draw, about)
    present = sorted({str(getattr(o, about)) for o in draw.objects} - {first})
    others = present if present and draw.rng.random() < 0.8 else [v for v in VALUES[about] if v != first]
    second = draw.rng.choice(others)
    return (first, second) if draw.rng.random() < 0.5 else (second, first)


def _of(model: SceneObject, attributes: Sequence[str]) -> dict[str, str]:
    return {a: str(getattr(model, a)) for a in attributes}


def _without(where: Where, attribute: str) -> Where:
    return {a: v for a, v in where.items() if a != attribute}
