"""The operators' port of a process, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
import pytest_asyncio

from shared import side_door as doors
from shared.errors import ConfigError
from shared.metrics import EVENT_LOOP_LAG, EVENT_LOOP_TASKS
from shared.side_door import Health, side_door
from tests.metric_values import value
from tests.waiting import until


class Door(SimpleNamespace):
    ready: asyncio.Event
    stop: asyncio.Event
    drained: threading.Event
    health: Health
    port: int

    async def status(self, path: str) -> int:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            return (await client.get(path)).status_code

    async def post(self, path: str, **headers: str) -> int:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            return (await client.post(path, headers=headers)).status_code


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    ready, stop, drained = asyncio.Event(), asyncio.Event(), threading.Event()
    health = Health(ready, stop)
    async with side_door("127.0.0.1", 0, "web", health, drained.set) as port:
        yield Door(ready=ready, stop=stop, drained=drained, health=health, port=port)


async def test_it_starts_is_ready_ends(door: Door) -> None:
    paths = ("/healthz", "/startupz", "/readyz")
    assert [await door.status(path) for path in paths] == [200, 503, 503]
    door.ready.set()
    assert [await door.status(path) for path in paths] == [200, 200, 200]
    door.stop.set()
    assert [await door.status(path) for path in paths] == [200, 200, 503]
    door.ready.clear()
    assert await door.status("/startupz") == 200  # it has been ready once


async def test_a_stuck_event_loop_is_told(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.ready.set()
    monkeypatch.setattr(doors, "_STUCK_AFTER_S", 0.05)
    statuses: list[int] = []

    def probe() -> None:
        while not statuses or statuses[-1] == 200:
            statuses.append(httpx.get(f"http://127.0.0.1:{door.port}/healthz").status_code)

    prober = threading.Thread(target=probe)
    prober.start()
    end = time.monotonic() + 20
    while prober.is_alive() and time.monotonic() < end:
        prober.join(0.2)  # the loop does not turn meanwhile
    assert statuses[-1] == 503


async def test_metrics_are_told_to_those_who_ask(door: Door) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{door.port}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'nunmal_build_info{room="web"' in answer.text
    assert "process_resident_memory_bytes" in answer.text


async def test_the_lag_of_the_event_loop_is_measured(door: Door) -> None:
    async def has_moved() -> bool:
        return value(EVENT_LOOP_LAG) > before

    before = value(EVENT_LOOP_LAG)
    assert await until(has_moved, within_s=20)


async def test_drain_is_asked_for_by_programs_only(door: Door) -> None:
    assert await door.post("/drain", Origin="http://example.org") == 403
    assert await door.post("/drain", **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert not door.drained.is_set()
    assert await door.post("/drain") == 202
    assert await asyncio.to_thread(door.drained.wait, 10)


async def test_nothing_else_is_there(door: Door) -> None:
    assert await door.status("/") == 404
    assert await door.status("/drain") == 404
    assert await door.post("/metrics") == 404


async def test_a_taken_port_is_a_mistake_of_the_set_up(door: Door) -> None:
    with pytest.raises(ConfigError, match=f"NUNMAL_METRICS_PORT={door.port} cannot be used"):
        async with side_door("127.0.0.1", door.port, "web", door.health):
            pass


async def test_tasks_that_have_not_ended_are_counted_when_somebody_asks(door: Door) -> None:
    watching = asyncio.create_task(door.health.watch_loop())
    await asyncio.sleep(0)
    before = value(EVENT_LOOP_TASKS)
    waiting = [asyncio.create_task(asyncio.Event().wait()) for _ in range(7)]
    assert value(EVENT_LOOP_TASKS) == before + 7
    for task in (*waiting, watching):
        task.cancel()
    await asyncio.gather(*waiting, watching, return_exceptions=True)
    assert value(EVENT_LOOP_TASKS) == before - 1
