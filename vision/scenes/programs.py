"""Questions as programs, and the one executor that answers them: the only source of answers.

A program is a list of steps; each names an operation, the earlier steps it takes (`of`), and its arguments. It runs on
any list of objects with attributes and positions, so what a model parsed from a picture can be asked the same way.

| operation | takes | gives |
|---|---|---|
| all | | every object |
| filter(attribute=value, ...) | set | those that match |
| union, minus, both | set, set | set |
| unique | set | the same set, if it holds exactly one; otherwise nobody can tell |
| beside(side) | one | all objects on that side of it |
| alike(attribute) | one | all others that share the attribute |
| outermost(side) | set | the one farthest to that side; of none nobody can tell |
| count | set | number |
| exist | set | yes or no |
| every | set, set | whether the first lies within the second; of none nobody can tell |
| query(attribute) | one | its value |
| agree(attribute) | one, one | yes or no |
| is_beside(side) | one, one | whether the first is on that side of the second |
| side(axis=across or along) | one, one | on which side of the second the first is |
| more, fewer, equal | number, number | yes or no |
| most(first, second) | number, number | one of the two values given, or equal |
| unseen(property) | set | nobody can tell: pictures do not show it |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import CANNOT_TELL, NAMES, NO, YES

Set = frozenset[int]  # ids of objects
Value = Set | bool | int | str
Reason = Literal["absent", "ambiguous", "unseen"]


@dataclass(frozen=True)
class Step:
    """One operation on the results of earlier steps."""

    op: str
    of: tuple[int, ...] = ()
    args: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in `questions.jsonl`."""
        return {"op": self.op, "of": list(self.of), "args": self.args}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Step:
        """Read it back. Raises: KeyError: a field is missing."""
        return cls(row["op"], tuple(row["of"]), dict(row["args"]))


Program = tuple[Step, ...]


@dataclass(frozen=True)
class Outcome:
    """What a program came to."""

    value: Value | None  # None: nobody can tell
    answer: str  # a short Korean word
    evidence: tuple[int, ...]  # ids of the objects it rests on
    reason: Reason | None = None  # why nobody can tell
    failed_step: int | None = None
    found: Set = frozenset()  # what the failed step met


class _CannotTellError(Exception):
    def __init__(self, reason: Reason, found: Set = frozenset()) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.found = found


class ProgramError(ValueError):
    """A program that no scene could answer: an unknown operation, or one given the wrong kind of value."""


def execute(program: Program, objects: Sequence[SceneObject], meant: Mapping[int, int] | None = None) -> Outcome:
    """Run all steps; the last one's value is the answer.

    `meant` settles `unique` steps by hand: step -> id of the object that is meant.
    Raises: ProgramError: the program itself is wrong."""
    return run_steps(program, objects, meant)[1]


def run_steps(
    program: Program,
    objects: Sequence[SceneObject],
    meant: Mapping[int, int] | None = None,
    is_whole: bool = True,
) -> tuple[list[Value], Outcome]:
    """What each step came to, up to one that failed, and what the program came to (see `execute`); a program that is
    not whole yet may end in a set."""
    if not program:
        raise ProgramError("a program needs at least one step")
    machine = _Machine({o.id: o for o in objects})
    values: list[Value] = []
    for number, step in enumerate(program):
        run = OPERATIONS.get(step.op)
        if run is None:
            raise ProgramError(f"step {number}: unknown operation {step.op!r}; known: {', '.join(sorted(OPERATIONS))}")
        if meant and number in meant:
            values.append(frozenset({meant[number]}))
            continue
        try:
            values.append(run(machine, *(values[i] for i in step.of), **step.args))
        except _CannotTellError as why:
            machine.used |= why.found
            return values, Outcome(None, CANNOT_TELL, tuple(sorted(machine.used)), why.reason, number, why.found)
        except (TypeError, IndexError, KeyError, AttributeError, ValueError) as error:
            raise ProgramError(f"step {number}: {step.op!r} does not take {step.of} {step.args}: {error}") from error
    answer = spoken_value(values[-1]) if is_whole else ""
    return values, Outcome(values[-1], answer, tuple(sorted(machine.used)))


def spoken_value(value: Value) -> str:
    """The short Korean word for a final value. Raises: ProgramError: a set is no answer."""
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, int):
        return f"{value}개"
    if isinstance(value, str):
        return NAMES[value]
    raise ProgramError("a program must end in a number, a word, or yes or no; this one ends in a set of objects")


class _Machine:
    """The objects, and which of them the answer rests on so far."""

    def __init__(self, objects: dict[int, SceneObject]) -> None:
        self.objects = objects
        self.used: Set = frozenset()

    def all(self) -> Set:
        return frozenset(self.objects)

    def filter(self, given: Set, **where: str) -> Set:
        return frozenset(i for i in given if self.objects[i].matches(where))

    def union(self, one: Set, other: Set) -> Set:
        return one | other

    def minus(self, one: Set, other: Set) -> Set:
        return one - other

    def both(self, one: Set, other: Set) -> Set:
        return one & other

    def unique(self, given: Set) -> Set:
        if len(given) != 1:
            raise _CannotTellError("ambiguous" if given else "absent", given)
        self.used |= given
        return given

    def beside(self, one: Set, *, side: str) -> Set:
        anchor = self._only(one)
        return frozenset(i for i, o in self.objects.items() if o.is_beside(anchor, side))

    def alike(self, one: Set, *, attribute: str) -> Set:
        anchor = self._only(one)
        value = getattr(anchor, attribute)
        return frozenset(i for i, o in self.objects.items() if i != anchor.id and getattr(o, attribute) == value)

    def outermost(self, given: Set, *, side: str) -> Set:
        if not given:
            raise _CannotTellError("absent")
        axis = 0 if side in ("left", "right") else 2
        sign = 1 if side in ("left", "front") else -1
        return frozenset({min(sorted(given), key=lambda i: sign * self.objects[i].position[axis])})

    def count(self, given: Set) -> int:
        self.used |= given
        return len(given)

    def exist(self, given: Set) -> bool:
        self.used |= given
        return bool(given)

    def every(self, given: Set, within: Set) -> bool:
        if not given:
            raise _CannotTellError("absent")
        self.used |= given
        return given <= within

    def query(self, one: Set, *, attribute: str) -> str:
        return str(getattr(self._only(one), attribute))

    def agree(self, one: Set, other: Set, *, attribute: str) -> bool:
        return bool(getattr(self._only(one), attribute) == getattr(self._only(other), attribute))

    def is_beside(self, one: Set, other: Set, *, side: str) -> bool:
        return self._only(one).is_beside(self._only(other), side)

    def side(self, one: Set, other: Set, *, axis: str) -> str:
        first, second = {"across": ("left", "right"), "along": ("front", "behind")}[axis]
        return first if self._only(one).is_beside(self._only(other), first) else second

    def more(self, one: int, other: int) -> bool:
        return one > other

    def fewer(self, one: int, other: int) -> bool:
        return one < other

    def equal(self, one: int, other: int) -> bool:
        return one == other

    def most(self, one: int, other: int, *, first: str, second: str) -> str:
        return "equal" if one == other else first if one > other else second

    def unseen(self, given: Set, *, property: str) -> Value:
        raise _CannotTellError("unseen", given)

    def _only(self, one: Set) -> SceneObject:
        (number,) = one
        return self.objects[number]


OPERATIONS: dict[str, Callable[..., Value]] = {
    name: member for name, member in vars(_Machine).items() if not name.startswith("_")
}
