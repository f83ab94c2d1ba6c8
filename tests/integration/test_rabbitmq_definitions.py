"""infra/rabbitmq/definitions.json: each room can do its work with its own user, and nothing that is another's."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from yarl import URL

from shared import topology
from shared.broker.base import Broker, Delivery
from shared.broker.rabbitmq import RabbitBroker
from shared.errors import BrokerUnavailable
from shared.ids import new_id
from shared.messages import CancelGeneration, GenerateReply, GenerationChanged
from tests.rabbitmq_node import RabbitNode, rabbitmq_node

pytestmark = pytest.mark.rabbitmq

_DEFINITIONS = Path(__file__).parents[2] / "infra" / "rabbitmq"
_PASSWORDS = {"RABBIT_WEB_PASSWORD": "0123abcd", "RABBIT_WORKER_PASSWORD": "abcd0123"}
_LANE = "chat.defined"


def fill_in(target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(_DEFINITIONS / "entrypoint.sh"), str(_DEFINITIONS / "definitions.json"), str(target), "true"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitNode]:
    with tempfile.TemporaryDirectory() as directory, rabbitmq_node(Path(directory)) as node:
        definitions = Path(directory) / "definitions.json"
        assert fill_in(definitions, PATH="/usr/bin:/bin", **_PASSWORDS).returncode == 0
        node.control("import_definitions", str(definitions))
        yield node


def url_for(node: RabbitNode, user: str, password: str) -> str:
    return str(URL(node.url).with_user(user).with_password(password).with_path("/nunmal"))


@pytest.fixture
async def web(node: RabbitNode) -> AsyncIterator[Broker]:
    async with RabbitBroker(url_for(node, "nunmal-web", _PASSWORDS["RABBIT_WEB_PASSWORD"])) as broker:
        yield broker


@pytest.fixture
async def worker(node: RabbitNode) -> AsyncIterator[Broker]:
    async with RabbitBroker(url_for(node, "nunmal-worker", _PASSWORDS["RABBIT_WORKER_PASSWORD"])) as broker:
        yield broker


async def test_web_and_worker_can_do_their_work(web: Broker, worker: Broker) -> None:
    permit = GenerateReply(generation_id=new_id())
    cancel = CancelGeneration(generation_id=new_id())
    changed = GenerationChanged(generation_id=new_id(), attempt=1, state="done")
    inbox: asyncio.Queue[object] = asyncio.Queue()
    node_id = new_id()

    async def bury(delivery: Delivery) -> None:
        inbox.put_nowait(delivery.message)
        await delivery.bury()

    async with (
        asyncio.timeout(30),
        worker.consume_permits(_LANE, 1, bury),
        worker.consume_control(new_id(), inbox.put),
        web.consume_node(node_id, inbox.put),
    ):
        for publish, message in (
            (web.publish_permit(_LANE, permit), permit),
            (worker.publish_permit(_LANE, permit), permit),  # recovery runs there too
            (web.publish_control(cancel, None), cancel),
            (worker.publish_to_node(node_id, changed), changed),
            (web.publish_to_node(node_id, changed), changed),
        ):
            await publish
            assert await inbox.get() == message
        while not await web.take_dead_letter(permit.generation_id):
            pass


async def test_worker_cannot_hear_events_nor_give_commands(worker: Broker) -> None:
    async def never(_: object) -> None:
        raise AssertionError

    with pytest.raises(BrokerUnavailable, match="AccessRefused"):
        async with worker.consume_node(new_id(), never):
            pass
    with pytest.raises(BrokerUnavailable):
        await worker.publish_control(CancelGeneration(generation_id=new_id()), None)


async def test_policies_apply_to_the_queues_they_are_meant_for(node: RabbitNode, web: Broker) -> None:
    await web.declare_lane(_LANE)

    listed = await asyncio.to_thread(node.control, "list_queues", "--vhost", "nunmal", "name", "policy")

    assert f"{topology.request_queue(_LANE)}\tchat-lanes" in listed
    assert f"{topology.DEAD_QUEUE}\tchat-dead" in listed


def test_password_that_would_break_the_file_is_refused(tmp_path: Path) -> None:
    refused = fill_in(tmp_path / "out", PATH="/usr/bin:/bin", **_PASSWORDS | {"RABBIT_WORKER_PASSWORD": 'a"b'})

    assert refused.returncode == 2
    assert "RABBIT_WORKER_PASSWORD" in refused.stderr
    assert not (tmp_path / "out").exists()
