"""What Prometheus learns of an engine's steps."""

from __future__ import annotations

from dataclasses import replace

from shared import metrics
from tests.metric_values import value
from workers.engine.base import EngineStats
from workers.engine.engine_messages import Step
from workers.engine_metrics import EngineMetrics, stands

MODEL = {"model_name": "counted"}


def stats(prompt_tokens: int = 0, shared_tokens: int = 0, preemptions: int = 0, held: int = 0) -> EngineStats:
    return EngineStats(2, 1, 8, 100, held, preemptions, prompt_tokens, shared_tokens)


def test_totals_of_the_engine_are_counted_once_and_all_when_nothing_is_left_to_do() -> None:
    engine = EngineMetrics("counted")
    engine.step(Step(rows=2, tokens=[34, 2], stats=stats(100, 40, 1)))
    assert value(metrics.PREFIX_CACHE_QUERIES, **MODEL) == 100
    engine.step(Step(rows=2, tokens=[2], stats=stats(150, 40, 1)))
    assert value(metrics.BATCH_SIZE, **MODEL) == 1, "a second has not gone by"
    engine.step(Step(stats=replace(stats(150, 40, 1), running=0, waiting=0)))

    assert value(metrics.PREFIX_CACHE_QUERIES, **MODEL) == 150
    assert value(metrics.PREFIX_CACHE_HITS, **MODEL) == 40
    assert value(metrics.PREEMPTIONS, **MODEL) == 1
    assert value(metrics.BATCH_SIZE, **MODEL) == 2
    assert value(metrics.ITERATION_TOKENS, **MODEL) == 3
    assert value(metrics.CACHE_CONFIG, num_gpu_blocks="100", **MODEL) == 1


def test_where_an_engine_stands() -> None:
    stands("counted", stats(held=25))

    assert value(metrics.NUM_REQUESTS_RUNNING, **MODEL) == 2
    assert value(metrics.NUM_REQUESTS_WAITING, **MODEL) == 1
    assert value(metrics.KV_CACHE_USAGE, **MODEL) == 0.25


def test_an_engine_without_memory_of_its_own_holds_none() -> None:
    stands("counted", EngineStats(1, 0, 8))
    assert value(metrics.KV_CACHE_USAGE, **MODEL) == 0.0
