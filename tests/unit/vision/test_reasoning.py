"""Lists and thoughts as tokens: what is written can be read again, and says what the executor says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.picture_lists import placed, read_listing
from vision.reasoning.describing import described, object_name
from vision.reasoning.listing import from_left, listing, numbered
from vision.reasoning.tokens import ALL, COUNTS, IS, NO, NUMBERS, SCENE, SCENE_END, WORDS, YES
from vision.reasoning.trace import read_trace, trace
from vision.scenes.dataset import SPLITS, Example, Split
from vision.scenes.hearing import heard
from vision.scenes.programs import Program, Step, Value, execute


def _without_words(program: Program) -> list[Step]:
    """What is hidden has no token of its own."""
    return [replace(s, args={"property": ""}) if s.op == "unseen" else s for s in program]


def _came_to(tokens: Sequence[str]) -> Value | None:
    """What the last step of a thought came to; None where nobody can tell."""
    (result,) = tokens[len(tokens) - list(reversed(tokens)).index(IS) :]
    if result in COUNTS:
        return COUNTS.index(result)
    if result in (YES, NO):
        return result == YES
    return result[2:-2] if result in WORDS else None


def test_no_control_token_is_there_twice() -> None:
    assert len(set(ALL)) == len(ALL)


@pytest.mark.parametrize("split", SPLITS)
def test_a_list_tells_enough_to_answer_every_question(by_split: dict[Split, list[Example]], split: Split) -> None:
    for example in by_split[split]:
        listed = read_listing(listing(example.scene.objects, example.scene.size))
        assert listed is not None
        for question in example.questions:
            assert execute(question.program, placed(listed)).answer == question.answer


@pytest.mark.parametrize("split", SPLITS)
def test_a_thought_is_read_as_it_was_written(by_split: dict[Split, list[Example]], split: Split) -> None:
    for example in by_split[split]:
        things = numbered(from_left(example.scene.objects))
        for question in example.questions:
            written = trace(question.program, things)
            program = read_trace(written)
            assert program is not None
            assert list(program) == _without_words(question.program)
            assert _came_to(written) == execute(question.program, things).value


def test_a_list_that_breaks_off_is_none(by_split: dict[Split, list[Example]]) -> None:
    scene = by_split["test"][0].scene
    whole = listing(scene.objects, scene.size)

    for end in range(len(whole)):
        assert read_listing(whole[:end]) is None
    assert read_listing([SCENE, *reversed(whole[1:-1]), SCENE_END]) is None


def test_whatever_a_model_writes_is_read_or_refused(by_split: dict[Split, list[Example]]) -> None:
    """Every beginning, and every thought with one token replaced: a program that runs or is wrong, or None."""
    example = by_split["test"][0]
    things = numbered(from_left(example.scene.objects))
    written = trace(max((q.program for q in example.questions), key=len), things)
    read = [read_trace(written[:end]) for end in range(len(written))]
    for place in range(len(written)):
        read += [read_trace([*written[:place], token, *written[place + 1 :]]) for token in ALL[::3]]

    assert any(program is None for program in read)
    assert all(program is None or all(step.op for step in program) for program in read)


def test_objects_are_numbered_from_the_left(by_split: dict[Split, list[Example]]) -> None:
    for example in by_split["test"]:
        tokens = listing(example.scene.objects, example.scene.size)
        assert [t for t in tokens if t in NUMBERS] == list(NUMBERS[: len(example.scene.objects)])
        listed = read_listing(tokens) or []
        assert [t.colour for t in listed] == [o.colour for o in from_left(example.scene.objects)]


@pytest.mark.parametrize("split", SPLITS)
def test_every_sentence_is_heard_as_its_answer(by_split: dict[Split, list[Example]], split: Split) -> None:
    for example in by_split[split]:
        for question in example.questions:
            assert heard(question.sentence, question.program) == question.answer


@pytest.mark.parametrize(
    ("said", "op", "args", "answer"),
    [
        ("빨간 공은 파란색이에요.", "query", {"attribute": "colour"}, "파란색"),
        ("파란 공 옆의 상자는 빨간색입니다.", "query", {"attribute": "colour"}, "빨간색"),
        ("글쎄요.", "query", {"attribute": "colour"}, None),
        ("공은 3개 있어요.", "count", {}, "3개"),
        ("공은 하나도 없습니다.", "count", {}, "0개"),
        ("네, 있습니다.", "exist", {}, "네"),
        ("아니요, 없습니다.", "exist", {}, "아니요"),
        ("있습니다.", "exist", {}, None),
        ("큰 것이 작은 것보다 더 많습니다.", "most", {"first": "small", "second": "large"}, "큰 것"),
        ("상자는 공보다 앞쪽에 있습니다.", "side", {"axis": "along"}, "앞쪽"),
        ("그것은 알 수 없어요.", "count", {}, "알 수 없습니다"),
    ],
)
def test_free_sentences_are_heard(said: str, op: str, args: dict[str, str], answer: str | None) -> None:
    assert heard(said, (Step(op, (), args),)) == answer


def test_a_description_names_every_object_from_the_left(by_split: dict[Split, list[Example]]) -> None:
    for number, example in enumerate(by_split["test"]):
        things = from_left(example.scene.objects)
        _, said = described(things, random.Random(number))
        places = [said.find(object_name(thing)) for thing in things]
        assert min(places) >= 0
        assert "  " not in said
