"""The executor against a slow twin that knows only loops, and against answers worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vision.scenes.dataset import Example, Split
from vision.scenes.programs import Program, ProgramError, Step, execute
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import CANNOT_TELL, NAMES


class NobodyKnowsError(Exception):
    """How the twin says that a question has no answer."""


def twin(program: Program, number: int, things: Sequence[SceneObject]) -> object:
    """The value of one step, worked out from the definitions alone; sets are lists in any order."""
    step = program[number]
    given = [twin(program, i, things) for i in step.of]
    sets = [[t for t in things if isinstance(g, list) and t in g] for g in given]

    def only(k: int) -> SceneObject:
        return sets[k][0]

    def beside(a: SceneObject, b: SceneObject, side: str) -> bool:
        (u, _, far), (w, _, deep) = a.position, b.position
        return {"left": u < w, "right": u > w, "front": far < deep, "behind": far > deep}[side]

    match step.op:
        case "all":
            return list(things)
        case "filter":
            return [t for t in sets[0] if all(getattr(t, a) == v for a, v in step.args.items())]
        case "union":
            return [t for t in things if t in sets[0] or t in sets[1]]
        case "both":
            return [t for t in things if t in sets[0] and t in sets[1]]
        case "minus":
            return [t for t in sets[0] if t not in sets[1]]
        case "unique":
            if len(sets[0]) != 1:
                raise NobodyKnowsError
            return sets[0]
        case "beside":
            return [t for t in things if beside(t, only(0), step.args["side"])]
        case "alike":
            name = step.args["attribute"]
            return [t for t in things if t is not only(0) and getattr(t, name) == getattr(only(0), name)]
        case "outermost":
            side = step.args["side"]
            return [t for t in sets[0] if not any(beside(o, t, side) for o in sets[0])]
        case "count":
            return len(sets[0])
        case "exist":
            return len(sets[0]) > 0
        case "every":
            return not [t for t in sets[0] if t not in sets[1]]
        case "query":
            return getattr(only(0), step.args["attribute"])
        case "agree":
            return getattr(only(0), step.args["attribute"]) == getattr(only(1), step.args["attribute"])
        case "is_beside":
            return beside(only(0), only(1), step.args["side"])
        case "side":
            pair = ("left", "right") if step.args["axis"] == "across" else ("front", "behind")
            return next(side for side in pair if beside(only(0), only(1), side))
        case "more" | "fewer" | "equal" | "most":
            one, other = given
            assert isinstance(one, int) and isinstance(other, int)
            if step.op == "most":
                return "equal" if one == other else step.args["first" if one > other else "second"]
            return {"more": one > other, "fewer": one < other, "equal": one == other}[step.op]
        case _:
            raise NobodyKnowsError


def test_every_answer_agrees_with_the_slow_twin(by_split: dict[Split, list[Example]]) -> None:
    operations = set()
    for made in by_split.values():
        for example in made:
            for question in example.questions:
                operations |= {step.op for step in question.program}
                try:
                    value = twin(question.program, len(question.program) - 1, example.scene.objects)
                except NobodyKnowsError:
                    expected = CANNOT_TELL
                else:
                    expected = {True: "네", False: "아니요"}[value] if isinstance(value, bool) else ""
                    expected = expected or (f"{value}개" if isinstance(value, int) else NAMES[str(value)])

                assert question.answer == expected, question

    assert len(operations) == 21


def thing(number: int, looks: str, u: float, depth: float) -> SceneObject:
    size, colour, material, shape = looks.split()
    return SceneObject(number, shape, colour, size, material, (0, 0, 9, 9), (u, 50.0, depth), 1.0)


THINGS = (
    thing(0, "large red metal sphere", 10, 9),
    thing(1, "small red rubber sphere", 40, 6),
    thing(2, "small blue metal cube", 70, 8),
)
ALL, RED, CUBE = Step("all"), Step("filter", (0,), {"colour": "red"}), Step("filter", (0,), {"shape": "cube"})


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ((ALL, RED, Step("count", (1,))), "2개"),
        ((ALL, CUBE, Step("unique", (1,)), Step("query", (2,), {"attribute": "colour"})), "파란색"),
        ((ALL, RED, Step("unique", (1,)), Step("query", (2,), {"attribute": "size"})), CANNOT_TELL),
        ((ALL, Step("filter", (0,), {"colour": "green"}), Step("unique", (1,))), CANNOT_TELL),
        (
            (ALL, CUBE, Step("unique", (1,)), Step("beside", (2,), {"side": "front"}), Step("count", (3,))),
            "1개",
        ),
        (
            (ALL, Step("outermost", (0,), {"side": "behind"}), Step("query", (1,), {"attribute": "size"})),
            "큰 것",
        ),
        ((ALL, RED, Step("minus", (0, 1)), Step("exist", (2,))), "네"),
        ((ALL, RED, Step("filter", (1,), {"size": "large"}), Step("every", (1, 2))), "아니요"),
    ],
)
def test_answers_worked_out_by_hand(program: Program, answer: str) -> None:
    assert execute(program, THINGS).answer == answer


def test_evidence_names_what_the_answer_rests_on() -> None:
    program = (ALL, CUBE, Step("unique", (1,)), Step("beside", (2,), {"side": "left"}), Step("count", (3,)))

    assert execute(program, THINGS).evidence == (0, 1, 2)
    assert execute((ALL, RED, Step("count", (1,))), THINGS).evidence == (0, 1)


def test_the_reason_tells_none_from_several() -> None:
    absent = execute((ALL, Step("filter", (0,), {"shape": "cone"}), Step("unique", (1,))), THINGS)
    several = execute((ALL, RED, Step("unique", (1,))), THINGS)

    assert (absent.reason, absent.found) == ("absent", frozenset())
    assert (several.reason, several.found) == ("ambiguous", frozenset({0, 1}))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ((), "at least one step"),
        ((Step("paint"),), "unknown operation 'paint'"),
        ((Step("__init__"),), "unknown operation"),
        ((ALL, Step("count", (5,))), "step 1: 'count' does not take"),
        ((ALL, Step("filter", (0,), {"weight": "heavy"})), "step 1: 'filter'"),
        ((ALL, Step("beside", (0,))), "step 1: 'beside'"),
        ((ALL,), "ends in a set"),
    ],
)
def test_wrong_programs_are_refused_with_the_step(program: Program, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        execute(program, THINGS)
