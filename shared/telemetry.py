"""Logs. Never logged: what people write, tokens, secrets.

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

_ROOMS = ("shared", "web", "workers", "vision", "training", "infra")

_generation_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("generation_id", default=None)


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
        if generation_id := line.get("generation_id"):
            line["trace_id"] = str(generation_id).replace("-", "")  # shared/tracing.py
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
