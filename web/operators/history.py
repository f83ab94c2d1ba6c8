"""The last half hour of this node's lane, a sample every ten seconds. Forgotten when the node ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from shared.metrics import BROWSER_TIME_TO_FIRST_TOKEN
from web.lane_watch import LaneSight

_EVERY_S = 10.0
_MOST = 180


@dataclass(frozen=True, slots=True)
class Sample:
    waiting: float
    oldest_s: float
    busy: float  # slots
    first_text_s: float | None  # mean of what browsers told this node since the sample before; None: none did


class History:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=_MOST)
        self._taken_at: float | None = None
        self._seen = _first_texts()

    @property
    def samples(self) -> list[Sample]:
        """Oldest first."""
        return list(self._samples)

    def take(self, sight: LaneSight) -> None:
        """Call it with every look; one in ten seconds is kept."""
        now = self._clock()
        if self._taken_at is not None and now - self._taken_at < _EVERY_S:
            return
        self._taken_at = now
        before, self._seen = self._seen, _first_texts()
        count, seconds = self._seen[0] - before[0], self._seen[1] - before[1]
        busy = sum(worker.busy for worker in sight.line.workers)
        self._samples.append(Sample(sight.waiting, sight.oldest_s, busy, seconds / count if count else None))


def _first_texts() -> tuple[float, float]:
    """How many browsers told this process, and the sum of what they told."""
    told = {sample.name: sample.value for metric in BROWSER_TIME_TO_FIRST_TOKEN.collect() for sample in metric.samples}
    name = "nunmal_browser_time_to_first_token_seconds"
    return told[f"{name}_count"], told[f"{name}_sum"]
