"""Which logprobs belong to an answer that ended inside its tokens."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from shared.chat import TokenLogprob


def within(logprobs: Iterable[TokenLogprob], answer: str) -> tuple[TokenLogprob, ...]:
    """Those of tokens that begin in `answer`: what spells a stop text is left out like the text itself."""
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")  # bytes of no character are in no answer
    length = 0
    kept: list[TokenLogprob] = []
    for token in logprobs:
        if length >= len(answer):
            break
        kept.append(token)
        length += len(decoder.decode(token.bytes))
    return tuple(kept)
