"""What this process traces, caught before it leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.tracing import Tracer, exporting


class Spans:
    """Those of one `caught()`; complete once it has ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.all: tuple[ReadableSpan, ...] = ()

    def of(self, generation_id: str) -> dict[str, ReadableSpan]:
        """The last of each name in this generation's trace."""
        trace_id = generation_id.replace("-", "")
        return {span.name: span for span in self.all if f"{span.context.trace_id:032x}" == trace_id}


@contextlib.contextmanager
def caught() -> Iterator[Spans]:
    spans = Spans()
    tracer = Tracer("test", spans.exporter, "0")
    with exporting(tracer):
        yield spans
        tracer.flush()
        spans.all = spans.exporter.get_finished_spans()
