"""/ops: what operators see and do there, and that nobody else does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from quart import Quart

from infra.audit import verified
from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole, Generation, GenerationState
from shared.errors import BrokerUnavailable, TooManyAttempts
from shared.store import Store
from tests.factories import LANE, generation
from tests.waiting import until
from tests.web_operators import id_of, signed_in_operator
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app
from web.chat.line import Line
from web.lane_watch import LaneSight
from web.operators.history import History


@dataclass
class Operator:
    page: WebVisitor
    id: str


@pytest.fixture
async def operator(app: Quart, store: Store) -> Operator:
    visitor, operator_id, _ = await signed_in_operator(app, store)
    return Operator(visitor, operator_id)


async def _worker(operator: Operator, store: Store, path: str = "/ops", slots: int = 8) -> str:
    """A page that shows a living worker: nodes look once a second."""

    async def look() -> str:
        await store.workers.beat("worker-1", LANE, "test", "digest", slots, 3, service_s=2.5)
        body: str = await (await operator.page.get(path)).get_data(as_text=True)
        return body if "worker-1" in body else ""

    shown = await until(look, within_s=30)
    assert shown
    return shown


async def _dead(store: Store) -> Generation:
    turn = generation(question="아무도 모르는 이야기")
    await store.generations.add(turn)
    assert await store.generations.claim(LANE, "w")
    await store.generations.finish(turn.id, 1, GenerationState.FAILED, (), "", TooManyAttempts(attempts=3))
    return turn


async def test_the_line_and_the_workers_are_seen(operator: Operator, store: Store) -> None:
    page = await _worker(operator, store)

    for shown in ("worker-1", "3 / 8", "2.5초", "지금 1대, 필요한 수는 1대예요."):
        assert shown in page


async def test_the_live_part_comes_alone(operator: Operator, store: Store) -> None:
    assert "<html" not in await _worker(operator, store, "/ops/live")


async def test_without_workers_it_says_so(operator: Operator) -> None:
    await operator.page.get("/ops")
    assert "지금 일하는 작업자가 없어요" in operator.page.page


async def test_other_people_find_no_page(person: WebVisitor, visitor: WebVisitor) -> None:
    for path in ("/ops", "/ops/live"):
        assert (await person.get(path)).status_code == 404
        assert (await visitor.get(path)).status_code == 303
    await person.get("/chat")
    for path in ("/ops/workers/w/drain", "/ops/dead/x/replay", "/ops/dead/x/drop"):
        assert (await person.post(path)).status_code == 404


async def test_an_operator_needs_a_second_step(app: Quart, store: Store) -> None:
    visitor = WebVisitor(app)
    await store.users.set_role(await id_of(store, await visitor.sign_up()), AccountRole.OPERATOR)
    response = await visitor.get("/ops")

    assert response.status_code == 403
    assert "/account/second-step" in visitor.page


class TestDrain:
    async def test_a_worker_is_asked_once_and_it_is_recorded(self, operator: Operator, store: Store) -> None:
        await _worker(operator, store)
        response = await operator.page.post("/ops/workers/worker-1/drain")

        assert response.status_code == 303
        assert await store.workers.beat("worker-1", LANE, "test", "digest", 8, 3) is True
        (record,) = await store.audit.last(1)
        assert (record["actor"], record["action"], record["target"]) == (operator.id, "worker_drain_asked", "worker-1")
        await verified(store)

    async def test_one_that_ends_is_shown_so(self, operator: Operator, store: Store) -> None:
        assert "비우는 중" in await _worker(operator, store, slots=0)

    async def test_a_worker_that_is_not_there(self, operator: Operator) -> None:
        await operator.page.get("/ops")
        assert (await operator.page.post("/ops/workers/nobody/drain")).status_code == 404

    async def test_needs_the_forms_token(self, operator: Operator, store: Store) -> None:
        await store.workers.beat("worker-1", LANE, "test", "digest", 8, 3)
        response = await operator.page.post("/ops/workers/worker-1/drain", csrf_token="x")

        assert response.status_code == 403
        assert await store.workers.beat("worker-1", LANE, "test", "digest", 8, 3) is False

    async def test_a_button_is_there_where_workers_are_processes(
        self, store: Store, memory_broker: MemoryBroker, operator: Operator
    ) -> None:
        assert "/drain" not in await _worker(operator, store)

        settings = web_settings(broker_url="amqp://nobody@127.0.0.1/")
        app = create_app(settings, memory_broker, store, node_id="n")
        async with app.test_app():
            visitor, operator_id, _ = await signed_in_operator(app, store)
            assert "/ops/workers/worker-1/drain" in await _worker(Operator(visitor, operator_id), store)


class TestDeadLetters:
    async def test_are_listed_without_anybodys_words(self, operator: Operator, store: Store) -> None:
        dead = await _dead(store)
        await operator.page.get("/ops")

        assert dead.id in operator.page.page
        assert "too_many_attempts" in operator.page.page
        assert dead.question not in operator.page.page

    async def test_replay_lets_it_wait_again(self, operator: Operator, store: Store) -> None:
        dead = await _dead(store)
        await operator.page.get("/ops")
        assert (await operator.page.post(f"/ops/dead/{dead.id}/replay")).status_code == 303
        found = await store.generations.get(dead.id)

        assert found is not None
        assert found.state is GenerationState.QUEUED
        assert (await store.audit.last(1))[0]["actor"] == operator.id
        assert (await operator.page.post(f"/ops/dead/{dead.id}/replay")).status_code == 404

    async def test_drop_takes_it_off_the_list(self, operator: Operator, store: Store) -> None:
        dead = await _dead(store)
        await operator.page.get("/ops")
        assert (await operator.page.post(f"/ops/dead/{dead.id}/drop")).status_code == 303
        await operator.page.get("/ops")

        assert dead.id not in operator.page.page

    async def test_are_seen_while_the_broker_is_away(
        self, operator: Operator, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(broker: MemoryBroker, limit: int) -> None:
            raise BrokerUnavailable

        dead = await _dead(store)
        monkeypatch.setattr(MemoryBroker, "dead_letters", away)
        assert (await operator.page.get("/ops")).status_code == 200
        assert dead.id in operator.page.page


def test_the_last_half_hour_is_kept_a_sample_every_ten_seconds() -> None:
    clock = iter(range(10_000))
    history = History(clock=lambda: float(next(clock)))
    for waiting in range(5_000):
        history.take(LaneSight(waiting, 0.0, Line(), 0, 1))

    assert len(history.samples) == 180
    assert [sample.waiting for sample in history.samples[:3]] == [3200, 3210, 3220]
