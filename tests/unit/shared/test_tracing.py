"""Traces: one a generation, under the generation's own id; nothing while they are off."""

from __future__ import annotations

import re
import time

import pytest
from opentelemetry.trace import StatusCode

from shared import tracing
from shared.errors import QueueFull
from shared.ids import new_id
from shared.settings import load_settings
from shared.tracing import record, root_span_id_of, span, traced, traceparent
from tests.spans import caught


def test_the_trace_id_is_the_generations_id() -> None:
    generation_id = new_id()
    now = time.time()
    with caught() as spans:
        record("queue", generation_id, now - 2, now - 1)
        record("chat m", generation_id, now - 2, now, is_root=True, attributes={"gen_ai.request.model": "m"})
        record("queue", new_id(), now - 2, now - 1)

    ours = spans.of(generation_id)
    assert set(ours) == {"queue", "chat m"}
    assert ours["chat m"].parent is None
    assert ours["queue"].parent is not None
    assert ours["queue"].parent.span_id == ours["chat m"].context.span_id == root_span_id_of(generation_id)
    assert ours["queue"].end_time - ours["queue"].start_time == pytest.approx(1e9, abs=1e6)  # type: ignore[operator]
    assert dict(ours["chat m"].attributes or {}) == {"gen_ai.request.model": "m"}


def test_traceparent_is_as_w3c_writes_it() -> None:
    generation_id = new_id()
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", traceparent(generation_id))
    assert generation_id.replace("-", "") in traceparent(generation_id)


def test_what_is_raised_inside_a_span_is_told_by_its_code_and_goes_on() -> None:
    generation_id = new_id()
    with caught() as spans, pytest.raises(QueueFull), span("send permit", generation_id, messaging__system="rabbitmq"):
        raise QueueFull

    failed = spans.of(generation_id)["send permit"]
    assert failed.status.status_code is StatusCode.ERROR
    assert dict(failed.attributes or {}) == {"messaging.system": "rabbitmq", "error.type": "queue_full"}


def test_off_nothing_is_recorded_and_ids_may_be_anything() -> None:
    assert not tracing.is_on()
    record("queue", "no id", 0, 1)
    with span("queue", "no id"):
        pass


def test_without_an_address_nothing_is_traced() -> None:
    with traced("", "web", "0"):
        assert not tracing.is_on()


def test_with_an_address_it_is_on_while_inside_and_a_collector_that_is_away_holds_nobody_up() -> None:
    with traced("http://127.0.0.1:9/v1/traces", "web", "0"):
        assert tracing.is_on()
        record("queue", new_id(), 0, 1)
        begun = time.monotonic()
    assert not tracing.is_on()
    assert time.monotonic() - begun < 20


def test_the_address_is_a_url() -> None:
    assert load_settings({"NUNMAL_TRACES_URL": "http://otel:4318/v1/traces"}).traces_url
