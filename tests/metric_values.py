"""What a metric stands at, for tests that compare before and after."""

from __future__ import annotations

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

_SUFFIXES = {"counter": "_total", "histogram": "_count", "gauge": ""}


def value(metric: MetricWrapperBase, **labels: str) -> float:
    """Of a gauge or counter; of a histogram how often it was observed. 0 if it was never touched."""
    suffix = _SUFFIXES[str(metric._type)]
    return REGISTRY.get_sample_value(metric._name + suffix, labels) or 0.0
