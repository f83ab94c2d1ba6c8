"""/healthz, /readyz and /acceptz."""

from __future__ import annotations

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.errors import ConfigError, StoreUnavailable
from shared.store import Store
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app
from web.ops import begin_drain


async def test_healthz_answers_while_the_loop_turns(visitor: WebVisitor) -> None:
    assert (await visitor.get("/healthz")).status_code == 200


async def test_readyz_tells_the_workers_state_without_needing_one(visitor: WebVisitor, store: Store) -> None:
    before = await (await visitor.get("/readyz")).get_json()
    await store.workers.beat("w", "chat.test", "test", "0", 8, 3)
    response = await visitor.get("/readyz")
    after = await response.get_json()

    assert response.status_code == 200
    assert before["workers"] == {"lane": "chat.test", "alive": 0, "slots": 0, "busy": 0}
    assert after["workers"] == {"lane": "chat.test", "alive": 1, "slots": 8, "busy": 3}


async def test_readyz_needs_the_store(visitor: WebVisitor, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store, "ping", away)
    response = await visitor.get("/readyz")

    assert response.status_code == 503
    assert (await response.get_json())["store"] is False
    assert (await visitor.get("/healthz")).status_code == 200
    assert (await visitor.get("/acceptz")).status_code == 200, "this node still tells people what is wrong"


async def test_who_drains_accepts_nobody_new_and_serves_on(visitor: WebVisitor, app: Quart) -> None:
    begin_drain(app)

    for path in ("/acceptz", "/readyz"):
        assert (await visitor.get(path)).status_code == 503
    assert (await visitor.get("/login")).status_code == 200


async def test_readyz_needs_the_broker(visitor: WebVisitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryBroker, "is_connected", False)

    assert (await visitor.get("/readyz")).status_code == 503


async def test_readyz_waits_for_what_the_composition_adds(store: Store, memory_broker: MemoryBroker) -> None:
    is_tested = False
    app = create_app(web_settings(), memory_broker, store, node_id="n", extra_ready=lambda: is_tested)
    visitor = WebVisitor(app)

    assert (await visitor.get("/readyz")).status_code == 503
    is_tested = True
    assert (await visitor.get("/readyz")).status_code == 200


@pytest.mark.parametrize("key", [None, "short"])
async def test_without_a_proper_key_there_is_no_application(
    store: Store, memory_broker: MemoryBroker, key: str | None
) -> None:
    with pytest.raises(ConfigError, match="NUNMAL_SECRET_KEY"):
        create_app(web_settings(secret_key=key), memory_broker, store, node_id="n")


async def test_two_applications_do_not_meet(app: Quart, store: Store, memory_broker: MemoryBroker) -> None:
    other = create_app(web_settings(), memory_broker, store, node_id="other")

    assert other.extensions["nunmal_hub"] is not app.extensions["nunmal_hub"]
