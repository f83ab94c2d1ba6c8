"""Compact JSON of a schema, token by token (llguidance). An end token may come exactly where the JSON is complete, no
other control token ever, and where nothing more may follow the answer is over without one. Where the tokens run out,
the answer is led to its end (json_landing.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from shared.errors import SchemaUnsupported
from workers.engine.base import Mask
from workers.engine.json_landing import JsonPlace, Landing


class JsonGrammar:
    """Implements workers.engine.base.Grammar."""

    def __init__(self, start: LLMatcher, tokenizer: LLTokenizer, vocabulary: int) -> None:
        """`vocabulary`: how many token ids the model knows."""
        self._start = start
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._landing = Landing(tokenizer, start)

    def begin(self, generated: Sequence[int]) -> JsonState:
        state = JsonState(self._start.deep_copy(), self._tokenizer, self._vocabulary, self._landing)
        state.accept(generated)
        return state


class JsonState:
    """Implements workers.engine.base.GrammarState."""

    def __init__(self, matcher: LLMatcher, tokenizer: LLTokenizer, vocabulary: int, landing: Landing) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._landing = landing
        self._place = JsonPlace()

    @property
    def is_complete(self) -> bool:
        return self._matcher.is_stopped()

    def allowed(self) -> Mask:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        return np.unpackbits(bits, count=self._vocabulary, bitorder="little").view(np.bool_)

    def settle(self, token_id: int, left: int) -> int:
        return self._landing.settle(token_id, self._matcher, self._place, left)

    def accept(self, token_ids: Sequence[int]) -> None:
        self._matcher.consume_tokens(list(token_ids))
        self._check()
        self._place.read(self._tokenizer.decode_bytes(list(token_ids)))

    def _check(self) -> None:
        if self._matcher.is_error():  # one of the library's limits on a step, or tokens that another grammar allowed
            raise SchemaUnsupported(reason="it grew too complex while the answer was written")
