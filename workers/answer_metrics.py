"""What is measured of one answer (definitions: shared/metrics.py)."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from shared import metrics
from shared.chat import Generation, GenerationState
from shared.errors import NunmalError
from workers.answer_trace import AttemptTimes

_EVERY_S = 1.0


class AnswerMetrics:
    """Begins at the claim. Times are of this attempt; tokens of earlier attempts are not counted again."""

    def __init__(self, model: str, claimed: Generation) -> None:
        self._model = model
        self._claimed = claimed
        self._written = metrics.GENERATION_TOKENS.labels(model)
        self._between = metrics.INTER_TOKEN_LATENCY.labels(model)
        self._begun = self._last = time.monotonic()
        self._submitted: float | None = None
        self._first: float | None = None
        self._tokens = 0
        self._gaps: list[float] = []  # seconds between tokens that were not told of
        self._told = 0  # tokens
        self._tell_at = 0.0
        self._waited_s: float | None = None  # before the only claim
        if claimed.attempt == 1 and claimed.claimed_at is not None:
            self._waited_s = max(0.0, (claimed.claimed_at - claimed.created_at).total_seconds())
            metrics.REQUEST_QUEUE_TIME.labels(model).observe(self._waited_s)
            if claimed.forecast_s is not None:
                metrics.ETA_ERROR.labels(model).observe(abs(self._waited_s - claimed.forecast_s))

    @property
    def seconds(self) -> float:
        """Since the claim."""
        return time.monotonic() - self._begun

    @property
    def times(self) -> AttemptTimes:
        """For the trace, by this host's clock."""
        apart = time.time() - time.monotonic()
        submitted = None if self._submitted is None else self._submitted + apart
        first = None if self._first is None else self._first + apart
        return AttemptTimes(self._begun + apart, submitted, first, self._last + apart)

    def submitted(self, prompt_tokens: int, most_tokens: int) -> None:
        """The engine has it from now on. `most_tokens`: how long its answer may become."""
        self._submitted = time.monotonic()
        metrics.PROMPT_TOKENS.labels(self._model).inc(prompt_tokens)
        metrics.REQUEST_PROMPT_TOKENS.labels(self._model).observe(prompt_tokens)
        metrics.REQUEST_PARAMS_MAX_TOKENS.labels(self._model).observe(most_tokens)

    def slot_freed(self, asked_at: datetime) -> None:
        """The person's click on stop took effect. Between two hosts this is as exact as their clocks."""
        seconds = (datetime.now(UTC) - asked_at).total_seconds()
        metrics.CANCELS.labels(self._model).inc()
        metrics.CANCEL_LATENCY.labels(self._model).observe(max(0.0, seconds))

    def token(self) -> None:
        now = time.monotonic()
        self._tokens += 1
        if self._first is None:
            self._first = now
            metrics.TIME_TO_FIRST_TOKEN.labels(self._model).observe(now - self._begun)
            if self._submitted is not None:
                metrics.REQUEST_PREFILL_TIME.labels(self._model).observe(now - self._submitted)
        else:
            self._gaps.append(now - self._last)
        self._last = now
        if now >= self._tell_at:
            self._tell_at = now + _EVERY_S
            self._tell()

    def ended(self, state: GenerationState, finish_reason: str | None, error: NunmalError | None) -> None:
        """With a final state."""
        self._tell()
        metrics.REQUEST_SUCCESS.labels(self._model, reason_of(state, finish_reason)).inc()
        if error is not None:
            metrics.REQUEST_FAILURES.labels(self._model, error.code).inc()
        metrics.E2E_REQUEST_LATENCY.labels(self._model).observe(self._since_asked())
        metrics.REQUEST_GENERATION_TOKENS.labels(self._model).observe(self._tokens)
        if self._first is not None and self._submitted is not None:
            metrics.REQUEST_DECODE_TIME.labels(self._model).observe(self._last - self._first)
            metrics.REQUEST_INFERENCE_TIME.labels(self._model).observe(self._last - self._submitted)

    def _tell(self) -> None:
        """Once a second: one token at a time would cost more than the scrapes."""
        self._written.inc(self._tokens - self._told)
        self._told = self._tokens
        for seconds in self._gaps:
            self._between.observe(seconds)
        self._gaps.clear()

    def _since_asked(self) -> float:
        """Exact for a first attempt; else as exact as the clocks of two hosts."""
        if self._waited_s is not None:
            return self._waited_s + self.seconds
        return max(0.0, (datetime.now(UTC) - self._claimed.created_at).total_seconds())


def reason_of(state: GenerationState, finish_reason: str | None) -> str:
    """In vLLM's words: stop, length, abort, error; of an answer that is given back: requeued."""
    return _REASONS.get(state, finish_reason or "stop")


_REASONS = {
    GenerationState.STOPPED: "abort",
    GenerationState.FAILED: "error",
    GenerationState.QUEUED: "requeued",
}
