"""The guide puts in what the executor finds, and lets the model write everything else."""

from __future__ import annotations

import pytest

from vision.reasoning.guide import RESULTS_ONLY, Guide
from vision.reasoning.listing import from_left, numbered
from vision.reasoning.tokens import IS, NUMBERS, SCENE
from vision.reasoning.trace import trace
from vision.scenes.dataset import SPLITS, Example, Split


@pytest.mark.parametrize("split", SPLITS)
def test_a_model_that_writes_the_program_gets_the_whole_thought(
    by_split: dict[Split, list[Example]], split: Split
) -> None:
    for example in by_split[split]:
        things = numbered(from_left(example.scene.objects))
        for question in example.questions:
            guide = Guide(things)
            for token in trace(question.program, things):
                if guide.forced is None:
                    assert token not in RESULTS_ONLY or guide.is_thinking is False
                else:
                    assert guide.forced == token
                guide.accept(token)
            assert guide.forced is None
            guide.accept(None)
            assert not guide.is_thinking


def test_what_a_model_says_without_thinking_is_free() -> None:
    guide = Guide([])

    for token in (None, "<|filter|>", IS):
        guide.accept(token)

    assert guide.forced is None
    assert not guide.is_thinking


@pytest.mark.parametrize("written", [["<|count|>", IS], ["<|all|>", "<|filter|>", "<|left|>", IS], [SCENE]])
def test_what_is_no_program_is_left_alone(written: list[str]) -> None:
    guide = Guide([])

    for token in written:
        guide.accept(token)

    assert guide.forced is None
    assert not guide.is_thinking


def test_results_are_never_free() -> None:
    assert set(NUMBERS) <= RESULTS_ONLY
    assert IS not in RESULTS_ONLY
