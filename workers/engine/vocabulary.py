"""What a model's tokens spell, byte for byte, and grammars over them. Made when first needed: it takes up to 1 s."""

from __future__ import annotations

import threading
from typing import Any

import llguidance.hf
from llguidance import LLTokenizer
from transformers import PreTrainedTokenizerBase

from shared.chat import TokenLogprob
from shared.errors import SchemaUnsupported
from shared.json_schema import matcher_of
from workers.engine.base import Logprobs
from workers.engine.json_grammar import JsonGrammar

_LEAST_LOGPROB = -9999.0  # what OpenAI tells of a token that was as good as impossible: JSON has no infinity


class Vocabulary:
    """May be used by several threads."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int, stop_ids: frozenset[int]) -> None:
        """`size`: how many token ids the model knows."""
        self._tokenizer: Any = tokenizer  # of which class it is, llguidance looks at itself
        self._size = size
        self._stop_ids = stop_ids
        self._opening = threading.Lock()
        self._opened: LLTokenizer | None = None

    def open(self) -> LLTokenizer:
        """Raises ValueError for a tokenizer of a kind that llguidance does not know."""
        with self._opening:
            if self._opened is None:
                size = max(self._size, len(self._tokenizer))
                ends = sorted(self._stop_ids) or None
                self._opened = llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=size, eos_token=ends)
            return self._opened

    def json_grammar(self, schema: str) -> JsonGrammar:
        """Compact JSON of this schema (JSON text). Takes up to 100 ms. Raises SchemaUnsupported."""
        try:
            tokenizer = self.open()
        except ValueError as error:
            raise SchemaUnsupported(reason="this model's tokenizer cannot be held to a schema") from error
        return JsonGrammar(matcher_of(schema, tokenizer), tokenizer, self._size)

    def spelled(self, token_id: int, logprobs: Logprobs, start: int = 0) -> TokenLogprob | None:
        """Of a token whose text begins at `start`; None for an end token, which is no part of the answer. Other control
        tokens spell nothing, as in the text; beside the chosen token they are told by name."""
        if token_id in self._stop_ids:
            return None
        tokenizer = self.open()
        bytes_of = tokenizer.decode_bytes
        text = b"" if tokenizer.is_special_token(token_id) else bytes_of([token_id])
        top = tuple(TokenLogprob(bytes_of([other]), logprob) for other, logprob in logprobs.top)
        return TokenLogprob(text, max(logprobs.chosen, _LEAST_LOGPROB), top, start)
