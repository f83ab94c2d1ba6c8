"""A chain of thought about a picture: a program, and after each step what it came to, as tokens before the answer.

A step is its operation, the earlier steps it takes (left out if it takes just the one before), its arguments, IS, and
its result: numbers of objects, a count, yes or no, or a word. After a step that nobody can tell, the rest is written
down too, each as UNKNOWN, so that the whole program is there for the executor, which may see the picture otherwise.
`all` has no result: it is the list itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from vision.reasoning.tokens import (
    COUNTS,
    IS,
    NO,
    NOTHING,
    NUMBERS,
    REASONS,
    SCENE_END,
    STEPS,
    UNKNOWN,
    WORDS,
    YES,
    control,
)
from vision.scenes.programs import OPERATIONS, Outcome, Program, ProgramError, Step, Value, run_steps
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES, SIDES, VALUES

_ATTRIBUTE_OF = {value: attribute for attribute, values in VALUES.items() for value in values}
_REASONS = dict(zip(("absent", "ambiguous", "unseen"), map(control, REASONS), strict=True))
_RESULTS = {*NUMBERS, *COUNTS, YES, NO, NOTHING, UNKNOWN, *_REASONS.values(), *WORDS}
_PAIRED = {"most": ("first", "second")}
_NAMED = {"query": "attribute", "agree": "attribute", "alike": "attribute"}  # the argument's name in the program
_NAMED |= {"beside": "side", "is_beside": "side", "outermost": "side", "side": "axis"}


def trace(program: Program, objects: Sequence[SceneObject]) -> list[str]:
    """The tokens of a program run on objects whose ids are their numbers from 1.

    Raises: ProgramError: it is wrong, or longer than STEPS."""
    if len(program) > len(STEPS):
        raise ProgramError(f"a program of {len(program)} steps; {len(STEPS)} can be written down")
    values, outcome = run_steps(program, objects)
    tokens: list[str] = []
    for number, step in enumerate(program):
        tokens += _said(step, number)
        if step.op != "all":
            tokens += [IS, *_came_to(number, values, outcome)]
    return tokens


def result_of_last(program: Program, objects: Sequence[SceneObject]) -> list[str]:
    """The tokens of what a program's last step came to; it need not be a whole program yet.

    Raises: ProgramError: it is wrong."""
    values, outcome = run_steps(program, objects, is_whole=False)
    return _came_to(len(program) - 1, values, outcome)


def _came_to(number: int, values: Sequence[Value], outcome: Outcome) -> list[str]:
    if number < len(values):
        return _result(values[number])
    return [_REASONS[str(outcome.reason)] if number == outcome.failed_step else UNKNOWN]


def read_trace(tokens: Sequence[str]) -> Program | None:
    """The program in what a model wrote; what its steps came to is passed over. None: it is not well formed."""
    steps: list[Step] = []
    place = 0
    try:
        while place < len(tokens):
            operation = tokens[place][2:-2]
            if operation not in OPERATIONS:
                return None
            place += 1
            given: list[str] = []
            if operation != "all":
                while tokens[place] != IS:
                    given.append(tokens[place])
                    place += 1
                place += 1
                result: list[str] = []
                while place < len(tokens) and _goes_on(tokens[place], result):
                    result.append(tokens[place])
                    place += 1
            steps.append(_step(operation, given, len(steps)))
    except (IndexError, KeyError, ValueError):
        return None
    return tuple(steps) or None


def thought_in(answer: Sequence[str | None]) -> Program | None:
    """The program that an answer begins with. `answer`: its tokens by name, None for one that is no control token.
    A list of objects that the model wrote first is passed over."""
    thought = list(takewhile(lambda token: token is not None, answer))
    if SCENE_END in thought:
        thought = thought[thought.index(SCENE_END) + 1 :]
    return read_trace([token for token in thought if token])


def _said(step: Step, number: int) -> list[str]:
    before = () if step.of == (number - 1,) else step.of
    if step.op == "unseen":
        return [control(step.op), *(STEPS[i] for i in before)]
    named = ATTRIBUTES if step.op == "filter" else tuple(step.args)  # one order, whatever the question's
    return [control(step.op), *(STEPS[i] for i in before), *(control(step.args[n]) for n in named if n in step.args)]


def _result(value: Value) -> list[str]:
    if isinstance(value, bool):
        return [YES if value else NO]
    if isinstance(value, int):
        return [COUNTS[value]]
    if isinstance(value, str):
        return [control(value)]
    return [NUMBERS[i - 1] for i in sorted(value)] or [NOTHING]


def _goes_on(token: str, result: list[str]) -> bool:
    """Whether a token still belongs to a result: a set has many, everything else is one token."""
    if not result:
        return token in _RESULTS
    return result[-1] in NUMBERS and token in NUMBERS


def _step(operation: str, given: Sequence[str], number: int) -> Step:
    of = tuple(STEPS.index(t) for t in given if t in STEPS)
    words = [t[2:-2] for t in given if t not in STEPS]
    if not of and operation != "all":
        of = (number - 1,)
    if any(i >= number or i < 0 for i in of):
        raise ValueError("a step takes only earlier ones")
    if operation == "filter":
        return Step(operation, of, {_ATTRIBUTE_OF[word]: word for word in words})
    if operation in _PAIRED:
        return Step(operation, of, dict(zip(_PAIRED[operation], words, strict=True)))
    if operation in _NAMED:
        (word,) = words
        if word not in (*ATTRIBUTES, *SIDES, "across", "along"):
            raise ValueError(f"{operation} takes no {word}")
        return Step(operation, of, {_NAMED[operation]: word})
    if words:
        raise ValueError(f"{operation} takes no words")
    return Step(operation, of, {"property": ""} if operation == "unseen" else {})
