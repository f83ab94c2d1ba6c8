"""What Prometheus learns of an engine's steps."""

from __future__ import annotations

from shared.telemetry import BATCH_SIZE, KV_BLOCKS, PREEMPTIONS, PREFIX_TOKENS
from workers.engine.base import EngineStats


class EngineMetrics:
    """Of one engine; it is told of every step."""

    def __init__(self, model: str) -> None:
        self._batch_size = BATCH_SIZE.labels(model)
        self._blocks = KV_BLOCKS.labels(model, "all")
        self._held = KV_BLOCKS.labels(model, "held")
        self._preemptions = PREEMPTIONS.labels(model)
        self._read = PREFIX_TOKENS.labels(model, "read")
        self._shared = PREFIX_TOKENS.labels(model, "shared")
        self._before = EngineStats(0, 0, 0)

    def step(self, rows: int, stats: EngineStats) -> None:
        """`rows`: answers that got a token. Totals count from the engine's start."""
        if rows:
            self._batch_size.observe(rows)
        before, self._before = self._before, stats
        self._blocks.set(stats.kv_blocks)
        self._held.set(stats.kv_blocks_held)
        self._preemptions.inc(max(0, stats.preemptions - before.preemptions))
        shared = max(0, stats.shared_tokens - before.shared_tokens)
        self._shared.inc(shared)
        self._read.inc(max(0, stats.prompt_tokens - before.prompt_tokens - shared))
