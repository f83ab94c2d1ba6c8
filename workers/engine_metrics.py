"""What Prometheus learns of an engine's steps. An engine in a process of its own tells its worker, which counts."""

from __future__ import annotations

from shared import metrics
from workers.engine.base import EngineStats
from workers.engine.engine_messages import Step


class EngineMetrics:
    """Of one engine; it is told of every step."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._batch_size = metrics.BATCH_SIZE.labels(model)
        self._iteration_tokens = metrics.ITERATION_TOKENS.labels(model)
        self._preemptions = metrics.PREEMPTIONS.labels(model)
        self._queries = metrics.PREFIX_CACHE_QUERIES.labels(model)
        self._hits = metrics.PREFIX_CACHE_HITS.labels(model)
        self._before = EngineStats(0, 0, 0)

    def step(self, step: Step) -> None:
        """Totals of its stats count from the engine's start."""
        if step.rows:
            self._batch_size.observe(step.rows)
        for tokens in step.tokens:
            self._iteration_tokens.observe(tokens)
        if step.stats is None:
            return
        before, self._before = self._before, step.stats
        if step.stats.prompt_tokens != before.prompt_tokens:  # prompts were read, as in few steps
            self._queries.inc(max(0, step.stats.prompt_tokens - before.prompt_tokens))
            self._hits.inc(max(0, step.stats.shared_tokens - before.shared_tokens))
        if step.stats.preemptions != before.preemptions:
            self._preemptions.inc(max(0, step.stats.preemptions - before.preemptions))
        if step.stats.kv_blocks != before.kv_blocks:
            metrics.CACHE_CONFIG.labels(self._model, str(step.stats.kv_blocks)).set(1)


def stands(model: str, stats: EngineStats) -> None:
    """Where an engine stands now, also between two steps."""
    metrics.NUM_REQUESTS_RUNNING.labels(model).set(stats.running)
    metrics.NUM_REQUESTS_WAITING.labels(model).set(stats.waiting)
    metrics.KV_CACHE_USAGE.labels(model).set(stats.kv_blocks_held / stats.kv_blocks if stats.kv_blocks else 0.0)
