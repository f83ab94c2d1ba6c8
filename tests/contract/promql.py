"""Which metrics PromQL expressions name, and which there are: rules, dashboards and this repository must agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from shared import metrics

PROMETHEUS = Path(__file__).resolve().parents[2] / "infra" / "prometheus"

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_OTHERS = {  # of Prometheus itself, of its client in our processes, of RabbitMQ (its plugin's documentation)
    "up": {"job", "instance"},
    "process_resident_memory_bytes": {"job", "instance"},
    "process_cpu_seconds_total": {"job", "instance"},
    "process_open_fds": {"job", "instance"},
    "rabbitmq_detailed_queue_messages_ready": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_unacked": {"vhost", "queue"},
    "rabbitmq_detailed_queue_consumers": {"vhost", "queue"},
}
_TARGET = {"job", "instance"}  # Prometheus adds them
_NAME = re.compile(r"\b([a-z_]+:[a-z0-9_]+:[a-z0-9_]+|nunmal_[a-z0-9_]+|rabbitmq_[a-z_]+|process_[a-z_]+|up)\b")
_SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)\{([^}]*)\}")
_MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")


def our_series() -> dict[str, set[str]]:
    """Every series our processes give, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in _SUFFIXES[str(metric._type)]:
                found[metric._name + suffix] = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
    return found


def rules(name: str) -> list[dict[str, Any]]:
    """All rules of a file of infra/prometheus/."""
    groups = yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules("recording.yml")}


def faults(expression: str) -> Iterator[str]:
    """What this expression names that does not exist."""
    known = our_series() | _OTHERS
    for name in named(expression):
        if name not in known and name not in recorded():
            yield f"{name} is no series"
    for name, inside in _SELECTOR.findall(expression):
        if name in known:
            for label in _MATCHER.findall(re.sub(r'"[^"]*"', '""', inside)):
                if label not in known[name] | _TARGET:
                    yield f"{name} has no label {label}"


def named(expression: str) -> Iterable[str]:
    """The series in it, recorded ones too."""
    without_text = re.sub(r'"[^"]*"', '""', expression)
    without_labels = re.sub(r"\{[^}]*\}|\b(by|without|on|ignoring|group_left|group_right) *\([^)]*\)", "", without_text)
    return _NAME.findall(without_labels)
