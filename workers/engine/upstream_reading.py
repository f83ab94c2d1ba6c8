"""Chunks of a streamed completion to token events, and token ids to the text of a prompt and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from llguidance import LLTokenizer

from shared.errors import EngineLost, GenerationCrashed
from workers.engine import admission
from workers.engine.base import FinishReason, Logprobs, Request, TokenEvent
from workers.engine.facts import ModelFacts
from workers.engine.upstream_dialect import begins_anew

Units = TypeVar("Units", str, tuple[int, ...])

_REPLACEMENT = "\ufffd"
_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",  # text-generation-inference
    "stop_sequence": "stop",
    "length": "length",
}


class Spelling:
    """Text and token ids that are the same bytes. What a server sends as text is text: the name of a control token is
    spelled by other tokens."""

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self._tokenizer = tokenizer

    def ids_of(self, text: str) -> tuple[int, ...]:
        """As the model's tokenizer cuts it, unless that would change it (NFC); then the longest tokens that spell it.
        Raises GenerationCrashed if none do."""
        wanted = text.encode()
        for ids in (self._tokenizer.tokenize_bytes(wanted), self._tokenizer.greedy_tokenize(text)):
            is_text = not any(map(self._tokenizer.is_special_token, ids))
            if is_text and self._tokenizer.decode_bytes(ids) == wanted:
                return tuple(ids)
        raise GenerationCrashed("the tokenizer has no tokens for a text of the upstream")

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Whole characters only."""
        return self._tokenizer.decode_bytes(list(token_ids)).decode("utf-8", errors="ignore")


class CompletionReader:
    """Reads the chunks of one completion, in order."""

    def __init__(self, request: Request, facts: ModelFacts, spelling: Spelling | None) -> None:
        """`spelling`: for a server that sends text only; None: the token ids it sends are taken."""
        self._request = request
        self._facts = facts
        self._spelling = spelling
        self._count = len(request.generated)
        again = request.generated if begins_anew(request) else ()
        self._ids_again = () if spelling else again  # what comes again before anything new
        self._text_again = spelling.text_of(again) if spelling else ""

    def events(self, chunk: dict[str, Any]) -> list[TokenEvent]:
        """What this chunk tells; the last event of the answer has its finish reason.

        Raises EngineLost if the server gave up, GenerationCrashed if it does not keep to what it is asked.
        """
        if "error" in chunk:
            raise EngineLost("the upstream broke off")
        choices = chunk.get("choices")
        if not choices:  # figures of usage
            return []
        choice = choices[0]
        events = self._spelled(choice) if self._spelling else self._given(choice)
        if events and events[-1].finish_reason:
            return events
        if reason := choice.get("finish_reason"):
            if reason not in _FINISH_REASONS:  # "abort": the server sheds its load or ends
                return [*events, TokenEvent(None, "error", EngineLost(f"the upstream ended with {str(reason)[:40]!r}"))]
            if self._text_again or self._ids_again:
                raise GenerationCrashed("the upstream wrote another answer than before")
            events.append(TokenEvent(None, _FINISH_REASONS[reason]))
        return events

    def _spelled(self, choice: dict[str, Any]) -> list[TokenEvent]:
        """The server counts its tokens itself: how many spell its text here is another matter."""
        assert self._spelling is not None
        text = str(choice.get("text") or "").replace(_REPLACEMENT, "")
        again, self._text_again = _beyond(self._text_again, text)
        return [TokenEvent(token_id) for token_id in self._spelling.ids_of(text[again:])]

    def _given(self, choice: dict[str, Any]) -> list[TokenEvent]:
        ids = tuple(choice.get("token_ids") or ())
        if not all(isinstance(token_id, int) and 0 <= token_id < self._facts.vocabulary for token_id in ids):
            raise GenerationCrashed("the upstream sent token ids that the model does not have")
        if choice.get("text") and not ids:
            raise GenerationCrashed("the upstream sent text without token ids")
        logprobs = _logprobs(choice.get("logprobs"), len(ids), self._request.logprobs)
        again, self._ids_again = _beyond(self._ids_again, ids)
        events: list[TokenEvent] = []
        for token_id, told in list(zip(ids, logprobs, strict=True))[again:]:
            self._count += 1
            reason = admission.ended(
                self._request, self._count, token_id, self._facts.stop_ids, self._facts.context_length
            )
            events.append(TokenEvent(token_id, reason, logprobs=told))
            if reason:
                break
        return events


def _beyond(known: Units, came: Units) -> tuple[int, Units]:
    """How much of what came was known, and what of that is still to come. Raises GenerationCrashed if they differ."""
    common = min(len(known), len(came))
    if known[:common] != came[:common]:
        raise GenerationCrashed("the upstream wrote another answer than before")
    return common, known[common:]


def _logprobs(told: dict[str, Any] | None, tokens: int, asked: int | None) -> list[Logprobs | None]:
    """vLLM's, tokens named `token_id:5`; the chosen one stands among the likeliest even if it is none of them."""
    if asked is None:
        return [None] * tokens
    if not told or len(told["token_logprobs"]) != tokens:
        raise GenerationCrashed("the upstream sent no logprobs")
    found: list[Logprobs | None] = []
    for chosen, likeliest in zip(told["token_logprobs"], told["top_logprobs"], strict=True):
        top = ((int(name.removeprefix("token_id:")), float(value)) for name, value in (likeliest or {}).items())
        ranked = sorted(top, key=lambda token: (-token[1], token[0]))[:asked]
        found.append(Logprobs(min(float(chosen), 0.0), tuple(ranked)))
    return found
