"""Bits per byte, and verdicts that hold only for the words they were given for."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import LlamaForCausalLM

from training.conversations import ConversationEncoder
from training.evaluate import bits_per_byte, verdict_of


def test_a_model_that_knows_nothing_pays_the_same_for_every_token(
    tiny_model: LlamaForCausalLM, encoder: ConversationEncoder
) -> None:
    with torch.no_grad():
        tiny_model.model.embed_tokens.weight.zero_()
    text = "안녕하세요."

    scores = bits_per_byte(tiny_model, encoder, {"a": [text], "b": [text, text]})

    tokens = len(encoder.document(text)) - 1
    expected = tokens * math.log2(300) / len(text.encode())
    assert scores == {name: pytest.approx(expected, abs=1e-3) for name in ("a", "b", "all")}


def row(**changes: object) -> dict[str, object]:
    return {"prompt": "안녕?", "answer": "안녕하세요.", "ended": True, "nearest_dice": 0.2} | changes


VERDICTS = {("안녕?", "안녕하세요."): {"pass": True, "reason": ""}}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "pass"),
        ({"answer": "안녕."}, "unread"),
        ({"ended": False}, "fail"),
        ({"nearest_dice": 0.61}, "fail"),
    ],
)
def test_verdict(changes: dict[str, object], verdict: str) -> None:
    assert verdict_of(row(**changes), VERDICTS)[0] == verdict
