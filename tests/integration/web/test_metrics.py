"""What a web node measures: its lane, its doors, refusals, and what browsers say they saw."""

from __future__ import annotations

import time

import pytest

from shared import metrics
from shared.broker.memory import MemoryBroker
from shared.chat import GenerationState
from shared.errors import TooManyAttempts
from shared.store import Store
from tests.factories import generation
from tests.metric_values import value
from tests.spans import caught
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app
from web.chat.line import Lines
from web.lane_watch import LaneWatch

LANE = "chat.test"


@pytest.fixture
def watch(store: Store, memory_broker: MemoryBroker) -> LaneWatch:
    return LaneWatch(store, memory_broker, Lines(store, 2.0), LANE, waiting_room=7, wait_goal_s=10.0)


async def test_the_lane_is_seen_as_it_is(watch: LaneWatch, store: Store) -> None:
    asked = [generation(lane=LANE) for _ in range(3)]
    for turn in asked:
        await store.generations.add(turn)
    await store.workers.beat("w", LANE, "test", "0", 8, 3)

    sight = await watch.look()

    assert sight.waiting == 3
    assert 0 < sight.oldest_s < 60
    assert sight.desired == 1
    assert [worker.id for worker in sight.line.workers] == ["w"]


async def test_the_age_is_that_of_the_longest_waiting(store: Store) -> None:
    assert await store.generations.longest_waiting(LANE) is None
    first, second = generation(lane=LANE, tag=9.0), generation(lane=LANE, tag=1.0)
    await store.generations.add(first)
    await store.generations.add(second)
    asked_at = await store.generations.longest_waiting(LANE)
    assert asked_at is not None
    assert abs((asked_at - first.created_at).total_seconds()) < 0.001


async def test_dead_letters_are_counted_until_somebody_looked(store: Store) -> None:
    turn = generation(lane=LANE)
    await store.generations.add(turn)
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None
    await store.generations.finish(turn.id, 1, GenerationState.FAILED, (), "", TooManyAttempts(attempts=3))

    assert await store.generations.count_dead(10) == 1
    await store.generations.bury(turn.id)
    assert await store.generations.count_dead(10) == 0


async def test_an_application_tells_its_lane(store: Store, memory_broker: MemoryBroker) -> None:
    metrics.WAITING_ROOM.labels(LANE).set(0)
    settings = web_settings()
    create_app(settings, memory_broker, store, node_id="n")

    assert value(metrics.WAITING_ROOM, lane=LANE) == settings.web.waiting_room


async def test_requests_are_counted_by_their_door(visitor: WebVisitor) -> None:
    doors = {"/login": ("page", "2xx"), "/v1/models": ("api", "4xx"), "/no-such": ("page", "4xx")}
    before = {path: value(metrics.HTTP_REQUESTS, door=door, status=status) for path, (door, status) in doors.items()}
    for path in doors:
        await visitor.get(path)

    assert value(metrics.HTTP_REQUESTS, door="api", status="4xx") == before["/v1/models"] + 1
    assert value(metrics.HTTP_REQUESTS, door="page", status="2xx") == before["/login"] + 1
    assert value(metrics.HTTP_REQUESTS, door="page", status="4xx") == before["/no-such"] + 1


async def test_calls_of_the_store_are_timed(store: Store) -> None:
    before = value(metrics.STORE_LATENCY)
    await store.workers.remove("nobody")
    assert value(metrics.STORE_LATENCY) == before + 1


class TestWhatABrowserSaw:
    async def test_is_observed(self, person: WebVisitor) -> None:
        before = value(metrics.BROWSER_TIME_TO_FIRST_TOKEN)
        assert (await person.post("/first-text", seconds="0.42")).status_code == 204
        assert value(metrics.BROWSER_TIME_TO_FIRST_TOKEN) == before + 1

    @pytest.mark.parametrize("seconds", ["", "x", "-1", "nan", "inf", "1e9"])
    async def test_is_a_time(self, person: WebVisitor, seconds: str) -> None:
        before = value(metrics.BROWSER_TIME_TO_FIRST_TOKEN)
        assert (await person.post("/first-text", seconds=seconds)).status_code == 422
        assert value(metrics.BROWSER_TIME_TO_FIRST_TOKEN) == before

    async def test_is_not_a_strangers(self, visitor: WebVisitor) -> None:
        await visitor.get("/login")
        before = value(metrics.BROWSER_TIME_TO_FIRST_TOKEN)
        assert (await visitor.post("/first-text", seconds="1")).status_code in (303, 401, 403)
        assert value(metrics.BROWSER_TIME_TO_FIRST_TOKEN) == before


class TestTheTraceOfWhatABrowserSaw:
    async def test_lasts_as_long_as_it_says_and_begins_when_the_question_came_or_before(
        self, person: WebVisitor, store: Store
    ) -> None:
        await person.get("/chat")
        generation_id = person.generation_id
        await person.ask("안녕?")
        asked = await store.generations.get(generation_id)
        assert asked is not None
        waited = time.time() - asked.created_at.timestamp()
        with caught() as spans:
            await person.post("/first-text", seconds=f"{waited / 2:.4f}", generation_id=generation_id)

        (span,) = spans.of(generation_id).values()
        assert span.name == "browser: click to first text"
        assert span.start_time is not None and span.end_time is not None
        assert span.start_time / 1e9 <= asked.created_at.timestamp()
        assert (span.end_time - span.start_time) / 1e9 == pytest.approx(waited / 2, abs=1e-3)

    async def test_is_told_of_ones_own_answers_only(self, person: WebVisitor, store: Store) -> None:
        of_another = generation(lane=LANE)
        await store.generations.add(of_another)
        with caught() as spans:
            for generation_id in (of_another.id, "no id", ""):
                told = await person.post("/first-text", seconds="1", generation_id=generation_id)
                assert told.status_code == 204

        assert not spans.all
