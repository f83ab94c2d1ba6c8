"""The guide as an engine's grammar: masks over token ids, begun anew at any place."""

from __future__ import annotations

import pickle

import numpy as np

from vision.reasoning.guide import RESULTS_ONLY
from vision.reasoning.listing import from_left, numbered
from vision.reasoning.tokens import ALL
from vision.reasoning.trace import trace
from vision.scenes.dataset import make_example
from workers.engine.thought_grammar import ThoughtGrammar, ThoughtState

WORDS = 50  # ids of ordinary words
CONTROL = {name: WORDS + number for number, name in enumerate(ALL)}
EXAMPLE = make_example(1, 0, "test", 96)
THINGS = tuple(numbered(from_left(EXAMPLE.scene.objects)))
GRAMMAR = ThoughtGrammar(THINGS, CONTROL, WORDS + len(ALL))


def _allowed(state: ThoughtState) -> set[int]:
    return set(np.flatnonzero(state.allowed()).tolist())


def test_every_written_thought_is_allowed_and_its_results_are_the_only_choice() -> None:
    everything = set(range(WORDS + len(ALL)))
    for question in EXAMPLE.questions:
        ids = [CONTROL[name] for name in trace(question.program, THINGS)]
        state = GRAMMAR.begin([])
        assert _allowed(state) == everything
        forced = 0
        for token_id in ids:
            allowed = _allowed(state)
            assert token_id in allowed
            forced += len(allowed) == 1
            state.accept([token_id])
        assert forced >= sum(name == "<|is|>" for name in trace(question.program, THINGS))
        assert _allowed(state) == everything - {CONTROL[name] for name in RESULTS_ONLY}
        state.accept([0])
        assert _allowed(state) == everything


def test_another_worker_goes_on_where_the_first_ended() -> None:
    grammar: ThoughtGrammar = pickle.loads(pickle.dumps(GRAMMAR))  # noqa: S301  # our own
    ids = [CONTROL[name] for name in trace(max((q.program for q in EXAMPLE.questions), key=len), THINGS)]
    state = GRAMMAR.begin([])

    for cut, token_id in enumerate(ids):
        assert _allowed(grammar.begin(ids[:cut])) == _allowed(state)
        state.accept([token_id])
