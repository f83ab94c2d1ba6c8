"""What is measured of one answer (definitions: shared/telemetry.py)."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from shared import telemetry
from shared.chat import Generation, GenerationState


class AnswerMetrics:
    """Begins at the claim. Times are of this attempt; tokens of earlier attempts are not counted again."""

    def __init__(self, model: str, claimed: Generation) -> None:
        self._model = model
        self._written = telemetry.GENERATION_TOKENS.labels(model)
        self._begun = time.monotonic()
        self._first: float | None = None
        self._last = self._begun
        self._tokens = 0
        if claimed.attempt == 1 and claimed.claimed_at is not None:
            waited = (claimed.claimed_at - claimed.created_at).total_seconds()
            telemetry.QUEUE_WAIT.labels(model).observe(max(0.0, waited))
            if claimed.forecast_s is not None:
                telemetry.FORECAST_ERROR.labels(model).observe(abs(waited - claimed.forecast_s))

    @property
    def seconds(self) -> float:
        """Since the claim."""
        return time.monotonic() - self._begun

    def slot_freed(self, asked_at: datetime) -> None:
        """The person's click on stop took effect. Between two hosts this is as exact as their clocks."""
        seconds = (datetime.now(UTC) - asked_at).total_seconds()
        telemetry.CANCEL_LATENCY.labels(self._model).observe(max(0.0, seconds))

    def token(self) -> None:
        self._last = time.monotonic()
        self._tokens += 1
        self._written.inc()
        if self._first is None:
            self._first = self._last
            telemetry.TIME_TO_FIRST_TOKEN.labels(self._model).observe(self._first - self._begun)

    def ended(self, state: GenerationState) -> None:
        telemetry.GENERATIONS.labels(self._model, state.value).inc()
        if self._first is not None and self._tokens > 1:
            mean = (self._last - self._first) / (self._tokens - 1)
            telemetry.TIME_PER_OUTPUT_TOKEN.labels(self._model).observe(mean)
