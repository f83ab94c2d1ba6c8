"""What Prometheus learns of an engine's steps. An engine in a process of its own tells its worker, which counts."""

from __future__ import annotations

import time

from shared import metrics
from workers.engine.base import EngineStats
from workers.engine.engine_messages import Step

_EVERY_S = 1.0


class EngineMetrics:
    """Of one engine; it is told of every step, and tells Prometheus once a second, and when nothing is left to do: 25
    times a second would cost more than the scrapes."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._batch_size = metrics.BATCH_SIZE.labels(model)
        self._iteration_tokens = metrics.ITERATION_TOKENS.labels(model)
        self._preemptions = metrics.PREEMPTIONS.labels(model)
        self._queries = metrics.PREFIX_CACHE_QUERIES.labels(model)
        self._hits = metrics.PREFIX_CACHE_HITS.labels(model)
        self._before = EngineStats(0, 0, 0)
        self._rows: list[int] = []  # of steps that were not told of
        self._tokens: list[int] = []
        self._tell_at = 0.0

    def step(self, step: Step) -> None:
        """Totals of its stats count from the engine's start."""
        if step.rows:
            self._rows.append(step.rows)
        self._tokens += step.tokens
        if step.stats is None:
            return
        now, is_idle = time.monotonic(), not (step.stats.running or step.stats.waiting)
        if is_idle or now >= self._tell_at:
            self._tell_at = now + _EVERY_S
            self._tell(step.stats)

    def _tell(self, stats: EngineStats) -> None:
        for rows in self._rows:
            self._batch_size.observe(rows)
        for tokens in self._tokens:
            self._iteration_tokens.observe(tokens)
        self._rows.clear()
        self._tokens.clear()
        before, self._before = self._before, stats
        self._preemptions.inc(max(0, stats.preemptions - before.preemptions))
        self._queries.inc(max(0, stats.prompt_tokens - before.prompt_tokens))
        self._hits.inc(max(0, stats.shared_tokens - before.shared_tokens))
        if stats.kv_blocks != before.kv_blocks:
            metrics.CACHE_CONFIG.labels(self._model, str(stats.kv_blocks)).set(1)


def stands(model: str, stats: EngineStats) -> None:
    """Where an engine stands now, also between two steps."""
    metrics.NUM_REQUESTS_RUNNING.labels(model).set(stats.running)
    metrics.NUM_REQUESTS_WAITING.labels(model).set(stats.waiting)
    metrics.KV_CACHE_USAGE.labels(model).set(stats.kv_blocks_held / stats.kv_blocks if stats.kv_blocks else 0.0)
