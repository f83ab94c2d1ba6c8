"""The trace of one answer, as its worker tells it: the wait, the prompt, prefill, decode, and at the end the whole."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared import tracing
from shared.chat import Generation
from shared.errors import NunmalError


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """Of one attempt, in seconds since the epoch; None: it did not come so far."""

    claimed: float
    submitted: float | None
    first_token: float | None
    last_token: float


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    finish_reason: str  # stop, length, abort, error; "requeued": another worker goes on
    error: NunmalError | None
    prompt_tokens: int
    answer_tokens: int  # of all attempts
    is_final: bool


def trace_attempt(claimed: Generation, model: str, times: AttemptTimes, end: AttemptEnd) -> None:
    """Call it when the end is in the store; does nothing while tracing is off."""
    if not tracing.is_on():
        return
    now = time.time()
    of_attempt: dict[str, tracing.Value] = {"nunmal.attempt": claimed.attempt, "gen_ai.request.model": model}
    asked = claimed.created_at.timestamp()
    if claimed.attempt == 1:
        _record("queue", claimed, asked, times.claimed, of_attempt)
    _record("prompt", claimed, times.claimed, times.submitted or now, of_attempt)
    if times.submitted is not None:
        _record("prefill", claimed, times.submitted, times.first_token or now, of_attempt)
    if times.first_token is not None:
        _record("decode", claimed, times.first_token, times.last_token, of_attempt)
        _record("store answer", claimed, times.last_token, now, of_attempt)
    if not end.is_final:
        return
    whole: dict[str, tracing.Value] = {
        **of_attempt,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "nunmal",
        "gen_ai.conversation.id": claimed.conversation_id,
        "gen_ai.response.id": claimed.id,
        "gen_ai.response.model": model,
        "gen_ai.response.finish_reasons": [end.finish_reason],
        "gen_ai.usage.input_tokens": end.prompt_tokens,
        "gen_ai.usage.output_tokens": end.answer_tokens,
        **_asked_for(claimed),
    }
    error = end.error.code if end.error else None
    tracing.record(f"chat {model}", claimed.id, asked, now, attributes=whole, kind="server", error=error, is_root=True)


def _record(name: str, claimed: Generation, began: float, ended: float, attributes: dict[str, tracing.Value]) -> None:
    tracing.record(name, claimed.id, began, ended, attributes=attributes)


def _asked_for(claimed: Generation) -> dict[str, tracing.Value]:
    """What the request chose itself."""
    sampling = claimed.sampling
    chosen = {
        "gen_ai.request.max_tokens": sampling.max_new_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.top_k": sampling.top_k,
    }
    return {"gen_ai.request.seed": claimed.seed, **{name: value for name, value in chosen.items() if value is not None}}
