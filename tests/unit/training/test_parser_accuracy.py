"""What a parser's figures count."""

from __future__ import annotations

from dataclasses import replace

from training.parser_accuracy import Accuracy
from vision.reasoning.listing import from_left
from vision.scenes.dataset import examples
from vision.scenes.vocabulary import VALUES


def test_who_reads_the_truth_answers_everything() -> None:
    accuracy = Accuracy()

    for example in examples(3, 10, "test", 96):
        accuracy.add(example, from_left(example.scene.objects))

    told = accuracy.told()
    assert (told["without_fault"], told["right"]) == (1.0, 1.0)
    assert told["questions"] > told["scenes"] == 10


def test_one_wrong_colour_is_a_fault_and_costs_only_the_questions_about_it() -> None:
    accuracy = Accuracy()

    for example in examples(3, 10, "test", 96):
        first, *rest = from_left(example.scene.objects)
        other = next(colour for colour in VALUES["colour"] if colour != first.colour)
        accuracy.add(example, [replace(first, colour=other), *rest])

    told = accuracy.told()
    assert told["without_fault"] == 0.0
    assert 0.3 < told["right"] < 1.0


def test_an_object_that_was_not_seen_is_no_crash() -> None:
    accuracy = Accuracy()

    for example in examples(3, 10, "test", 96):
        accuracy.add(example, [])

    assert accuracy.told()["without_fault"] == 0.0
    assert accuracy.told()["right"] < 0.8
