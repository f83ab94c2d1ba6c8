"""Logs and metric definitions. Never logged: what people write, tokens, secrets.

A log line is a static event name and fields: `log.warning("permit_unreadable", extra=fields(reason=...))`.
The unit of work binds its generation id once with `bound_generation`, and every line inside carries it.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_ROOMS = ("shared", "web", "workers", "vision", "training", "infra")

_generation_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("generation_id", default=None)

_TTFT_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
_TPOT_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_WAIT_BUCKETS = (0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960)

QUEUE_WAIT = Histogram(
    "nunmal_queue_wait_seconds", "From the question to the worker's claim.", ["model"], buckets=_WAIT_BUCKETS
)
TIME_TO_FIRST_TOKEN = Histogram(
    "nunmal_time_to_first_token_seconds", "From the claim to the first token.", ["model"], buckets=_TTFT_BUCKETS
)
TIME_PER_OUTPUT_TOKEN = Histogram(
    "nunmal_time_per_output_token_seconds",
    "Mean of one answer, after its first token.",
    ["model"],
    buckets=_TPOT_BUCKETS,
)
FORECAST_ERROR = Histogram(
    "nunmal_eta_error_seconds",
    "Difference between the wait that was forecast when a question was asked and the wait it had.",
    ["model"],
    buckets=_WAIT_BUCKETS,
)
CANCEL_LATENCY = Histogram(
    "nunmal_cancel_latency_seconds", "From the click on stop to the free slot.", ["model"], buckets=_TTFT_BUCKETS
)
BATCH_SIZE = Histogram(
    "nunmal_batch_size", "Answers that shared one step.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
KV_BLOCKS = Gauge("nunmal_kv_blocks", "Blocks of memory for keys and values, in all and held.", ["model", "kind"])
PREEMPTIONS = Counter("nunmal_preemptions_total", "Answers that had to wait again for memory.", ["model"])
PREFIX_TOKENS = Counter(
    "nunmal_prefix_tokens_total",
    "Tokens of prompts, read now and read before.",
    ["model", "kind"],
)
GENERATIONS = Counter("nunmal_generations_total", "Answers by how they ended.", ["model", "outcome"])
GENERATION_TOKENS = Counter("nunmal_generation_tokens_total", "Tokens written.", ["model"])
SLOTS_BUSY = Gauge("nunmal_slots_busy", "Answers being written by this worker.", ["model"])
SECURITY_EVENTS = Counter("nunmal_security_events_total", "Log-ins and refusals by kind.", ["kind"])
STREAMS_OPEN = Gauge("nunmal_streams_open", "Browser streams this web node holds.")


def start_metrics(port: int) -> int:
    """Serve /metrics on 127.0.0.1; returns the port chosen. Raises OSError if it is taken."""
    server, _thread = start_http_server(port, addr="127.0.0.1")
    return int(server.server_address[1])


def fields(**values: str | float | None) -> dict[str, Any]:
    """The `extra` of a log call."""
    return {"fields": values}


@contextlib.contextmanager
def bound_generation(generation_id: str) -> Iterator[None]:
    """Every log line inside carries this generation's id."""
    token = _generation_id.set(generation_id)
    try:
        yield
    finally:
        _generation_id.reset(token)


def configure_logging(log_format: Literal["text", "json"], level: str) -> None:
    """Once per process, by its entry point. `level` is ours: below a warning, libraries are silent.

    At debug level they would write down what passes through them: the store's driver whole documents, with people's
    words and passwords' hashes, others addresses with tokens in them.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if log_format == "json" else _Columns())
    chosen = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(chosen, logging.WARNING), handlers=[handler], force=True)
    for room in _ROOMS:
        logging.getLogger(room).setLevel(chosen)
    for client in ("aio_pika", "aiormq"):  # they log what they also raise, and the broker tells it in our words
        logging.getLogger(client).setLevel(logging.CRITICAL)


def _facts_of(record: logging.LogRecord) -> dict[str, Any]:
    generation_id = _generation_id.get()
    facts: dict[str, Any] = {"generation_id": generation_id} if generation_id else {}
    return facts | getattr(record, "fields", {})


def _printable(text: str) -> str:
    """One line, and nothing that moves a terminal's cursor."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class _Columns(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_printable(str(value))}" for name, value in _facts_of(record).items())
        event = _printable(record.getMessage())
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():<8}{event:<32} {facts}"
        return line.rstrip() + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        } | _facts_of(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
