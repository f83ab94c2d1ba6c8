"""A row with branches is what each conversation is by itself, and what is learned of it is the assistant's."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from shared.chat import Message, Role
from shared.prompting import prompt_ids
from training.config import ModelShape
from training.conversations import Encoded, token_id
from training.loop import build_model
from training.losses import targets
from training.scene_rows import Asked, Row, SceneEncoder, pack
from training.tokenizer import train_tokenizer
from vision.reasoning.tokens import ALL, IMAGE, SCENE, SCENE_END
from vision.scenes.dataset import make_example

IMAGE_TOKENS = 6


@pytest.fixture(scope="module")
def seeing() -> PreTrainedTokenizerFast:
    tokenizer = train_tokenizer(iter(["빨간 공이 있나요? 네, 빨간 공이 있습니다."] * 5), vocab_size=300)
    tokenizer.add_special_tokens({"additional_special_tokens": list(ALL)}, replace_extra_special_tokens=False)
    return tokenizer


def _asked(index: int, picture: int | None) -> Asked:
    example = make_example(3, index, "train", 96)
    return Asked(example.scene, tuple(example.questions), picture)


def _rows(tokenizer: PreTrainedTokenizerFast, picture: int | None, count: int = 20) -> list[Row]:
    encoder = SceneEncoder(tokenizer, IMAGE_TOKENS)
    return [encoder.row(_asked(i, picture), random.Random(i), [("고마워", "별말씀을요.")]) for i in range(count)]


def test_a_scene_is_asked_anew_in_words_for_training() -> None:
    asked = _asked(0, 7)

    first, second, again = (asked.anew(random.Random(seed)) for seed in (1, 2, 1))

    assert first == again and first.questions != second.questions
    assert (first.scene, first.picture) == (asked.scene, asked.picture)
    assert all(":t" in question.template for question in (*first.questions, *second.questions))


def test_a_branch_is_computed_as_if_it_stood_alone() -> None:
    torch.manual_seed(0)
    shape = ModelShape(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    model = build_model(shape, 0, 1, 5)
    model.train(False)
    rng = random.Random(0)

    def some(length: int) -> Encoded:
        return Encoded([rng.randrange(6, 50) for _ in range(length)], [0] + [1] * (length - 1))

    rows = [Row(some(7), [some(4), some(6), some(3)]), Row(some(9), []), Row(some(5), [some(8)])]
    packed = pack(rows, 0)
    with torch.no_grad():
        together = model(
            input_ids=packed.ids, attention_mask=packed.allowed, position_ids=packed.positions, use_cache=False
        ).logits
        for number, row in enumerate(rows):
            place = len(row.prefix)
            for branch in row.branches:
                alone = model(input_ids=torch.tensor([[*row.prefix.ids, *branch.ids]])).logits[0]
                assert torch.allclose(together[number, : len(row.prefix)], alone[: len(row.prefix)], atol=1e-5)
                mine = together[number, place : place + len(branch)]
                assert torch.allclose(mine, alone[len(row.prefix) :], atol=1e-5)
                place += len(branch)


def test_what_stands_before_a_target_predicts_it(seeing: PreTrainedTokenizerFast) -> None:
    packed = pack(_rows(seeing, 0), 0)

    places, learned = targets(packed.ids, packed.counts)

    assert torch.equal(packed.ids.flatten()[places + 1], learned)
    assert int(packed.counts.sum()) == len(places)


def test_a_first_turn_is_the_prompt_that_serving_makes(seeing: PreTrainedTokenizerFast) -> None:
    """Up to how words are cut into tokens, which training varies."""
    for row in _rows(seeing, 0):
        text = str(seeing.decode(row.prefix.ids + row.branches[0].ids))
        if text.count("<|user|>") > 1:
            continue
        opening, question, _ = (part for part in _split(text))
        tokenizer: Any = seeing
        served = str(seeing.decode(prompt_ids([Message(Role.USER, question)], tokenizer)))
        assert text.startswith(served.replace("<|user|>", f"<|user|>{opening}"))


def _split(text: str) -> tuple[str, str, str]:
    user = text.split("<|user|>", 1)[1]
    said, answer = user.split("<|end|>", 1)
    words = said
    for token in ALL:
        words = words.replace(token, "")
    return said.removesuffix(words), words, answer


def test_a_list_is_learned_only_where_it_can_be_seen(seeing: PreTrainedTokenizerFast) -> None:
    scene = token_id(seeing, SCENE)
    for row in _rows(seeing, None):
        assert row.picture is None
        assert token_id(seeing, IMAGE) not in row.prefix.ids
        assert sum(row.prefix.mask) == 0
        assert scene in row.prefix.ids
    learned = [sum(row.prefix.mask) for row in _rows(seeing, 0)]
    assert any(learned)


def test_without_a_list_the_model_writes_it_first(seeing: PreTrainedTokenizerFast) -> None:
    scene, end = (token_id(seeing, t) for t in (SCENE, SCENE_END))
    unlisted = [row for row in _rows(seeing, 0, 40) if scene not in row.prefix.ids]

    assert unlisted
    for row in unlisted:
        assert row.prefix.ids.count(token_id(seeing, IMAGE)) == IMAGE_TOKENS
        for branch in row.branches:
            if scene in branch.ids:
                start, stop = branch.ids.index(scene), branch.ids.index(end)
                assert all(branch.mask[start : stop + 1])


def test_nothing_of_a_person_is_learned(seeing: PreTrainedTokenizerFast) -> None:
    assistant = token_id(seeing, "<|assistant|>")
    for row in _rows(seeing, 0):
        for branch in row.branches:
            assert not any(branch.mask[: branch.ids.index(assistant) + 1])
            assert all(branch.mask[branch.ids.index(assistant) + 1 :])
