"""RabbitBroker through outages of real nodes: a restart, closed connections, a cluster that loses a node."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.broker.base import Delivery
from shared.broker.rabbitmq import RabbitBroker
from shared.errors import BrokerUnavailable
from shared.ids import new_id
from shared.messages import (
    AdapterPublished,
    CancelGeneration,
    GenerateReply,
    GenerationChanged,
    TokensGenerated,
    WatchGeneration,
)
from tests.rabbitmq_node import RabbitNode, close_all_connections, rabbitmq_node, rabbitmq_nodes, restart

pytestmark = pytest.mark.rabbitmq

_LANE = "chat.outages"
_BACK_S = 60  # a node needs seconds to start, more on a busy machine


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitNode]:
    """Another node than the one other tests rely on."""
    with tempfile.TemporaryDirectory() as directory, rabbitmq_node(Path(directory)) as node:
        yield node


class Client:
    """A broker with one consumer of each kind, and what they got."""

    def __init__(self, broker: RabbitBroker) -> None:
        self.broker = broker
        self.node_id, self.worker_id = new_id(), new_id()
        self.permits: asyncio.Queue[str] = asyncio.Queue()
        self.messages: asyncio.Queue[object] = asyncio.Queue()
        self.reconnected = asyncio.Event()
        broker.on_reconnect(self.reconnected.set)

    async def on_permit(self, delivery: Delivery) -> None:
        await delivery.ack()
        assert isinstance(delivery.message, GenerateReply)
        self.permits.put_nowait(delivery.message.generation_id)

    async def on_message(
        self, message: CancelGeneration | WatchGeneration | AdapterPublished | TokensGenerated | GenerationChanged
    ) -> None:
        self.messages.put_nowait(message)

    async def hears_everything(self) -> None:
        """One message of each kind makes its way; a permit may come twice, or an earlier one before it."""
        permit = GenerateReply(generation_id=new_id())
        cancel = CancelGeneration(generation_id=new_id())
        changed = GenerationChanged(generation_id=new_id(), attempt=1, state="done")
        async with asyncio.timeout(_BACK_S):
            await until_taken(self.broker, permit)
            while await self.permits.get() != permit.generation_id:
                pass
            await self.broker.publish_control(cancel, None)
            assert await self.messages.get() == cancel
            await self.broker.publish_to_node(self.node_id, changed)
            assert await self.messages.get() == changed
        assert self.broker.is_connected


@contextlib.asynccontextmanager
async def client(urls: str) -> AsyncIterator[Client]:
    async with RabbitBroker(urls) as broker:
        it = Client(broker)
        async with (
            broker.consume_permits(_LANE, 2, it.on_permit),
            broker.consume_control(it.worker_id, it.on_message),
            broker.consume_node(it.node_id, it.on_message),
        ):
            yield it


async def until_taken(broker: RabbitBroker, permit: GenerateReply, lane: str = _LANE) -> None:
    while True:
        try:
            return await broker.publish_permit(lane, permit)
        except BrokerUnavailable:
            await asyncio.sleep(0)  # a refusal may come at once; the loop must hear of the closing


@pytest.mark.parametrize("kill", [False, True], ids=["stopped in order", "killed"])
async def test_everything_goes_on_after_the_node_was_restarted(node: RabbitNode, kill: bool) -> None:
    others_reconnected = asyncio.Event()
    async with RabbitBroker(node.url) as other, client(node.url) as it:
        other.on_reconnect(others_reconnected.set)
        await it.hears_everything()
        before = GenerateReply(generation_id=new_id())
        await other.publish_permit("chat.outages-later", before)

        await asyncio.to_thread(node.stop, kill=kill)
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await it.broker.publish_permit(_LANE, before)
        refused_after_s = time.monotonic() - started
        async with asyncio.timeout(5):
            while it.broker.is_connected:  # noqa: ASYNC110  # nothing tells of a lost connection
                await asyncio.sleep(0)
        await asyncio.to_thread(node.start)
        async with asyncio.timeout(_BACK_S):
            await it.reconnected.wait()
        await it.hears_everything()

        assert refused_after_s <= 5
        async with asyncio.timeout(_BACK_S):
            await others_reconnected.wait()
        async with asyncio.timeout(_BACK_S), other.consume_permits("chat.outages-later", 1, it.on_permit):
            assert await it.permits.get() == before.generation_id


async def test_everything_goes_on_after_an_operator_closed_all_connections(node: RabbitNode) -> None:
    async with client(node.url) as it:
        await asyncio.to_thread(close_all_connections, node)
        async with asyncio.timeout(_BACK_S):
            await it.reconnected.wait()

        await it.hears_everything()


async def test_a_consumer_asked_for_without_a_connection_begins_when_it_is_back(node: RabbitNode) -> None:
    async with client(node.url) as it:
        closing = asyncio.create_task(asyncio.to_thread(close_all_connections, node))
        async with asyncio.timeout(_BACK_S):
            while it.broker._consuming.connected.is_set():  # noqa: ASYNC110  # nothing tells of a lost connection
                await asyncio.sleep(0)

        async with it.broker.consume_permits("chat.outages-begun", 1, it.on_permit):
            await closing
            permit = GenerateReply(generation_id=new_id())
            async with asyncio.timeout(_BACK_S):
                await until_taken(it.broker, permit, "chat.outages-begun")
                assert await it.permits.get() == permit.generation_id


async def test_permits_published_while_connections_are_closed_arrive_or_are_refused(node: RabbitNode) -> None:
    """A confirm means kept, whatever happened around it."""
    sent: list[str] = []
    async with client(node.url) as it:
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(asyncio.to_thread(close_all_connections, node))
            while not closing.done():
                permit = GenerateReply(generation_id=new_id())
                with contextlib.suppress(BrokerUnavailable):
                    await it.broker.publish_permit(_LANE, permit)
                    sent.append(permit.generation_id)
                await asyncio.sleep(0)
        waiting = set(sent)
        async with asyncio.timeout(_BACK_S):
            while waiting:
                waiting.discard(await it.permits.get())


async def test_dead_address_is_passed_over_at_start_and_at_every_reconnection(node: RabbitNode) -> None:
    dead = "amqp://guest:guest@127.0.0.1:1/"

    async with client(f"{dead}, {node.url}") as it:
        await it.hears_everything()
        await asyncio.to_thread(close_all_connections, node)
        async with asyncio.timeout(_BACK_S):
            await it.reconnected.wait()

        await it.hears_everything()


async def test_cluster_goes_on_when_the_node_we_speak_to_is_killed() -> None:
    """Quorum queues of three nodes keep their majority."""
    with tempfile.TemporaryDirectory() as directory:
        nodes = rabbitmq_nodes(Path(directory), 3)
        first, *others = await asyncio.to_thread(nodes.__enter__)
        try:
            for other in others:
                await asyncio.to_thread(join, other, first)
            async with client(",".join(node.url for node in (first, *others))) as it:
                await it.hears_everything()
                kept = GenerateReply(generation_id=new_id())
                await it.broker.publish_permit("chat.outages-kept", kept)

                await asyncio.to_thread(first.stop, kill=True)
                async with asyncio.timeout(_BACK_S):
                    await it.reconnected.wait()
                await it.hears_everything()

                async with (
                    asyncio.timeout(_BACK_S),
                    it.broker.consume_permits("chat.outages-kept", 1, it.on_permit),
                ):
                    assert await it.permits.get() == kept.generation_id
        finally:
            await asyncio.to_thread(nodes.__exit__, None, None, None)


def join(node: RabbitNode, first: RabbitNode) -> None:
    name = first.control("eval", "node().").strip().strip("'")
    for command in (("stop_app",), ("join_cluster", name), ("start_app",)):
        node.control(*command)


def test_restart_keeps_the_node_and_its_data(node: RabbitNode) -> None:
    node.control("add_vhost", "kept")

    restart(node)

    assert "kept" in node.control("list_vhosts")
