"""Traces: where the time of one generation went, from the click to the last word. Off unless NUNMAL_TRACES_URL names a
collector (OpenTelemetry, OTLP over HTTP).

One trace a generation, and its trace id is the generation's id: both have 128 bits, so whoever has a URL, a document or
a log line has the trace, and processes need not tell one another. The root span's id follows from it too. Messages
still carry `traceparent` (shared/broker/rabbitmq.py), for tools that look into brokers. Span and attribute names are
OpenTelemetry's, those of generative AI among them; what people write is in none of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from shared.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Value = str | int | float | bool | Sequence[str]
Kind = Literal["internal", "server", "client", "producer", "consumer"]

_NS = 1_000_000_000


class Tracer:
    """Of one process. What it is told leaves in a thread of its own, and is lost while the collector is away."""

    def __init__(self, room: str, exporter: SpanExporter, version: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._ids = _id_generator()
        resource = Resource.create({"service.name": f"nunmal-{room}", "service.version": version})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("nunmal", version)

    def record(
        self,
        name: str,
        generation_id: str,
        began: float,
        ended: float,
        attributes: Mapping[str, Value],
        *,
        kind: Kind = "internal",
        error: str | None = None,
        is_root: bool = False,
    ) -> None:
        """Something that is over. `began`, `ended`: seconds since the epoch. `error`: an error's code."""
        from opentelemetry import trace

        context = None
        if is_root:
            self._ids.next_is(trace_id_of(generation_id), root_span_id_of(generation_id))
        else:
            context = trace.set_span_in_context(trace.NonRecordingSpan(_root_context(generation_id)))
        span = self._tracer.start_span(
            name, context, trace.SpanKind[kind.upper()], dict(attributes), start_time=int(began * _NS)
        )
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(trace.Status(trace.StatusCode.ERROR))
        span.end(int(max(began, ended) * _NS))

    def flush(self) -> None:
        """Send what there is. Slow."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what is left, within the exporter's own limit. Slow."""
        self._provider.shutdown()


_tracer: Tracer | None = None  # of this process, like its log


def is_on() -> bool:
    return _tracer is not None


@contextlib.contextmanager
def traced(url: str, room: str, version: str) -> Iterator[None]:
    """Trace while inside, if `url` is not empty. Raises ConfigError if OpenTelemetry is not installed."""
    if not url:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError("NUNMAL_TRACES_URL needs OpenTelemetry: pip install 'nunmal[traces]'") from error
    with exporting(Tracer(room, OTLPSpanExporter(endpoint=url, timeout=2.0), version)):
        yield


@contextlib.contextmanager
def exporting(tracer: Tracer) -> Iterator[None]:
    """What this process records goes to `tracer`."""
    global _tracer
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before
        tracer.close()


def record(name: str, generation_id: str, began: float, ended: float, **options: Any) -> None:
    """As Tracer.record, with `attributes` left out if there are none; nothing while tracing is off."""
    if _tracer is not None:
        _tracer.record(name, generation_id, began, ended, options.pop("attributes", {}), **options)


@contextlib.contextmanager
def span(name: str, generation_id: str, kind: Kind = "internal", **attributes: Value) -> Iterator[None]:
    """Record what happens inside, and the code of what it raises. Dots of attributes' names are written `__`."""
    if _tracer is None:
        yield
        return
    began, error = time.time(), None
    try:
        yield
    except Exception as raised:
        error = str(getattr(raised, "code", type(raised).__name__))
        raise
    finally:
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        record(name, generation_id, began, time.time(), attributes=named, kind=kind, error=error)


def trace_id_of(generation_id: str) -> int:
    return UUID(generation_id).int


def root_span_id_of(generation_id: str) -> int:
    """Never 0, which stands for none."""
    return int.from_bytes(hashlib.sha256(generation_id.encode()).digest()[:8], "big") or 1


def traceparent(generation_id: str) -> str:
    """As W3C Trace Context writes the root of this generation's trace."""
    return f"00-{trace_id_of(generation_id):032x}-{root_span_id_of(generation_id):016x}-01"


def _root_context(generation_id: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id_of(generation_id), root_span_id_of(generation_id), is_remote=True, trace_flags=flags)


def _id_generator() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random, but for the root that comes next."""

        def __init__(self) -> None:
            self._next: tuple[int, int] | None = None

        def next_is(self, trace_id: int, span_id: int) -> None:
            self._next = trace_id, span_id

        def generate_trace_id(self) -> int:
            return self._next[0] if self._next else super().generate_trace_id()

        def generate_span_id(self) -> int:
            if self._next is None:
                return super().generate_span_id()
            (_, span_id), self._next = self._next, None
            return span_id

    return Ids()
