"""Penalties are OpenAI's, written out slowly; a grammar leaves nothing else to draw; other rows stay as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from workers.engine.base import Mask, Request
from workers.engine.drawing import draw_tokens
from workers.engine.logprobs import logprobs_of
from workers.engine.sampling import Draw, choose
from workers.engine.steering import Steering, steer

VOCABULARY = 30


class Only:
    """A grammar, and its state, that allows the same few tokens everywhere."""

    is_complete = False

    def __init__(self, *token_ids: int) -> None:
        self._token_ids = token_ids

    def begin(self, generated: Sequence[int]) -> Only:
        return self

    def accept(self, token_ids: Sequence[int]) -> None:
        assert set(token_ids) <= set(self._token_ids)

    def settle(self, token_id: int, left: int) -> int:
        return token_id

    def allowed(self) -> Mask:
        return np.isin(np.arange(VOCABULARY), self._token_ids)


class Broken(Only):
    def allowed(self) -> Mask:
        raise ZeroDivisionError


def request(
    generated: Sequence[int], frequency: float, presence: float, grammar: Only | None = None, repetition: float = 1.0
) -> Request:
    return Request(
        "a", (1, 2, 3, 2), tuple(generated), 0, 1.0, 1.0, 0, 99, frequency_penalty=frequency, presence_penalty=presence,
        grammar=grammar, repetition_penalty=repetition,
    )  # fmt: skip


def slow(logits: Sequence[float], asked: Request) -> list[float]:
    """https://platform.openai.com/docs/guides/text-generation, mu[j] - c[j] * frequency - (c[j] > 0) * presence, of
    what transformers' own repetition penalty leaves."""
    own = torch.tensor([[*asked.prompt, *asked.generated]])
    penalised = RepetitionPenaltyLogitsProcessor(asked.repetition_penalty)(own, torch.tensor([logits]))
    return [
        logit
        - asked.generated.count(token) * asked.frequency_penalty
        - float(asked.generated.count(token) > 0) * asked.presence_penalty
        for token, logit in enumerate(penalised[0].tolist())
    ]


_PENALTIES = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 2.0])
_REQUESTS = st.builds(
    request,
    st.lists(st.integers(0, VOCABULARY - 1), max_size=40),
    _PENALTIES,
    _PENALTIES,
    repetition=st.sampled_from([1.0, 0.5, 1.2, 2.0]),
)


@settings(max_examples=200, deadline=None)
@given(asked=st.lists(_REQUESTS, min_size=1, max_size=5), cut=st.integers(0, 40), seed=st.integers(0, 99))
def test_penalties_follow_the_definition_and_do_not_depend_on_where_the_answer_was_resumed(
    asked: list[Request], cut: int, seed: int
) -> None:
    logits = torch.randn(len(asked), VOCABULARY, generator=torch.Generator().manual_seed(seed))
    expected = [slow(row, each) for row, each in zip(logits.tolist(), asked, strict=True)]
    steerings = []
    for each in asked:
        steering = Steering.of(replace(each, generated=each.generated[:cut]), 1000)
        for token_id in each.generated[cut:]:
            if steering:
                steering.accept(token_id)
        steerings.append(steering)

    failures = steer(logits, steerings)

    assert failures == {}
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-4)


def test_a_request_that_asked_for_nothing_has_no_steering() -> None:
    assert Steering.of(request((1, 2), 0.0, 0.0), 1000) is None


@settings(max_examples=100, deadline=None)
@given(
    few=st.sets(st.integers(0, VOCABULARY - 1), min_size=1, max_size=5),
    temperature=st.sampled_from([0.0, 0.7, 2.0]),
    top_k=st.sampled_from([0, 1, 10, 50]),
    top_p=st.sampled_from([0.1, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_a_grammar_leaves_only_its_tokens_and_other_rows_as_they_are(
    few: set[int], temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    logits = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(seed))
    draws = [Draw(temperature, top_p, top_k, seed, place) for place in range(3)]
    free = choose(logits, draws)
    chosen = logits[1, sorted(few)]

    drawn = draw_tokens(logits, draws, [None, Steering.of(request((), 0.0, 0.0, Only(*few)), 1000), None], [None] * 3)

    assert drawn.tokens[1] in few
    assert [drawn.tokens[0], drawn.tokens[2]] == [free[0], free[2]]
    few_logits = torch.full((1, VOCABULARY), -math.inf)
    few_logits[0, sorted(few)] = chosen
    assert drawn.tokens[1] == choose(few_logits, [draws[1]])[0]


def test_a_grammar_that_breaks_fails_alone() -> None:
    logits = torch.zeros(2, VOCABULARY)
    broken, whole = (Steering.of(request((), 0.0, 0.0, grammar), 1000) for grammar in (Broken(1), Only(7)))

    drawn = draw_tokens(logits, [Draw(0.0, 1.0, 0, 1, 0)] * 2, [broken, whole], [None, None])

    assert list(drawn.failures) == [0]
    assert isinstance(drawn.failures[0], ZeroDivisionError)
    assert drawn.tokens[1] == 7


def test_logprobs_are_of_the_models_own_distribution() -> None:
    logits = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(3)) * 3
    probabilities = np.exp(logits.double().numpy())
    expected = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
    steering = Steering.of(request((4, 4), 2.0, 1.0, Only(4, 9)), 1000)

    drawn = draw_tokens(logits, [Draw(0.5, 1.0, 0, 1, 0)] * 2, [steering, None], [5, None])

    (told,) = drawn.logprobs.values()
    assert drawn.tokens[0] in (4, 9)
    assert told.chosen == pytest.approx(expected[0, drawn.tokens[0]], abs=1e-5)
    order = np.argsort(-expected[0], kind="stable")[:5].tolist()
    assert [token for token, _ in told.top] == order
    assert [value for _, value in told.top] == pytest.approx(expected[0, order].tolist(), abs=1e-5)


def test_equal_logprobs_come_by_token_and_impossible_tokens_not_at_all() -> None:
    logits = torch.tensor([[0.0, -math.inf, 0.0, 0.0]])

    (told,) = logprobs_of(logits, [2], [4])

    assert [token for token, _ in told.top] == [0, 2, 3]
    assert told.chosen == pytest.approx(math.log(1 / 3))
