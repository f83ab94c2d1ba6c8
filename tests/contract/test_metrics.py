"""What dashboards, alerts and autoscalers rely on: every name, its type and its labels."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from shared import metrics

MODEL = ("model_name",)
LANE = ("lane",)

# vLLM's, under our prefix: dashboards made for one can be turned to the other.
LIKE_VLLM = {
    "num_requests_running": ("gauge", MODEL),
    "num_requests_waiting": ("gauge", MODEL),
    "kv_cache_usage_perc": ("gauge", MODEL),
    "lora_requests_info": ("gauge", ("max_lora", "waiting_lora_adapters", "running_lora_adapters")),
    "cache_config_info": ("gauge", (*MODEL, "num_gpu_blocks")),
    "prompt_tokens": ("counter", MODEL),
    "generation_tokens": ("counter", MODEL),
    "request_success": ("counter", (*MODEL, "finished_reason")),
    "num_preemptions": ("counter", MODEL),
    "prefix_cache_queries": ("counter", MODEL),
    "prefix_cache_hits": ("counter", MODEL),
    "time_to_first_token_seconds": ("histogram", MODEL),
    "inter_token_latency_seconds": ("histogram", MODEL),
    "e2e_request_latency_seconds": ("histogram", MODEL),
    "request_queue_time_seconds": ("histogram", MODEL),
    "request_prefill_time_seconds": ("histogram", MODEL),
    "request_decode_time_seconds": ("histogram", MODEL),
    "request_inference_time_seconds": ("histogram", MODEL),
    "request_prompt_tokens": ("histogram", MODEL),
    "request_generation_tokens": ("histogram", MODEL),
    "request_params_max_tokens": ("histogram", MODEL),
    "iteration_tokens_total": ("histogram", MODEL),
}
OURS = {
    "batch_size": ("histogram", MODEL),
    "request_failures": ("counter", (*MODEL, "code")),
    "eta_error_seconds": ("histogram", MODEL),
    "cancels": ("counter", MODEL),
    "cancel_latency_seconds": ("histogram", MODEL),
    "worker_slots": ("gauge", MODEL),
    "worker_info": ("gauge", (*MODEL, "worker_id", "model_digest")),
    "draining": ("gauge", ()),
    "adapter_info": ("gauge", (*MODEL, "adapter", "digest")),
    "redeliveries": ("counter", LANE),
    "dead_letters": ("gauge", ()),
    "buried": ("counter", LANE),
    "picture_look_seconds": ("histogram", ()),
    "gpu_utilization_ratio": ("gauge", ("gpu",)),
    "gpu_memory_used_bytes": ("gauge", ("gpu",)),
    "gpu_memory_total_bytes": ("gauge", ("gpu",)),
    "gpu_temperature_celsius": ("gauge", ("gpu",)),
    "ingest_pages": ("counter", ()),
    "ingest_documents": ("counter", ("outcome",)),
    "reindexed_documents": ("counter", ("outcome",)),
    "digests": ("counter", ("outcome",)),
    "digest_summaries": ("counter", ("by",)),
    "digest_explanations": ("counter", ("by",)),
    "digest_model_answers": ("counter", ("field", "outcome")),
    "digest_seconds": ("histogram", ()),
    "queue_depth": ("gauge", LANE),
    "queue_oldest_age_seconds": ("gauge", LANE),
    "waiting_room_size": ("gauge", LANE),
    "lane_workers": ("gauge", LANE),
    "lane_slots": ("gauge", LANE),
    "lane_slots_busy": ("gauge", LANE),
    "desired_workers": ("gauge", LANE),
    "streams_open": ("gauge", ()),
    "browser_time_to_first_token_seconds": ("histogram", ()),
    "http_requests": ("counter", ("door", "status")),
    "http_request_duration_seconds": ("histogram", ("door",)),
    "refusals": ("counter", ("code",)),
    "pictures": ("counter", ("outcome",)),
    "picture_cleaning_seconds": ("histogram", ()),
    "votes": ("counter", (*MODEL, "adapter", "value")),
    "comparisons": ("counter", ("choice",)),
    "security_events": ("counter", ("kind",)),
    "build_info": ("gauge", ("version", "room")),
    "store_latency_seconds": ("histogram", ()),
    "store_errors": ("counter", ("collection",)),
    "broker_latency_seconds": ("histogram", ("kind",)),
    "broker_errors": ("counter", ("kind",)),
    "broker_connected": ("gauge", ()),
    "event_loop_lag_seconds": ("histogram", ()),
    "event_loop_tasks": ("gauge", ()),
}
TTFT_BUCKETS = [
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
]


def defined() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name without prefix and `_total` to type and labels, of all that shared/metrics.py defines."""
    return {metric._name.removeprefix("nunmal_"): (str(metric._type), tuple(metric._labelnames)) for metric in _all()}


def _all() -> Iterator[MetricWrapperBase]:
    return (value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase))


def test_every_promised_metric_exists_with_its_type_and_labels_and_there_is_no_other() -> None:
    assert defined() == LIKE_VLLM | OURS


def test_metrics_are_defined_in_one_place() -> None:
    ours = {name for name in REGISTRY._names_to_collectors if name.startswith("nunmal_")}

    for metric in _all():
        ours -= {name for name in ours if name.startswith(metric._name)}
    assert not ours


def test_nothing_is_scraped_of_when_a_metric_was_first_counted() -> None:
    metrics.COMPARISONS.labels("left").inc()

    scraped = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    assert "nunmal_comparisons_total" in scraped
    assert not {name for name in scraped if name.endswith("_created")}


@pytest.mark.parametrize("metric", list(_all()), ids=lambda metric: metric._name)
def test_names_follow_the_rules_of_prometheus(metric: MetricWrapperBase) -> None:
    assert re.fullmatch(r"nunmal_[a-z0-9_]+", metric._name)
    assert metric._documentation.endswith(".")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|mib|percent)(_|$)", metric._name)
    assert not set(metric._labelnames) & {"user", "user_id", "email", "address", "generation_id", "question"}


def test_time_to_first_token_has_vllms_buckets_at_both_ends_of_the_wire() -> None:
    for metric in (metrics.TIME_TO_FIRST_TOKEN, metrics.BROWSER_TIME_TO_FIRST_TOKEN):
        assert metric._kwargs["buckets"] == tuple(TTFT_BUCKETS)
