"""The promise of shared/broker/base.py, kept by every broker."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import aio_pika
import pytest

from shared import topology
from shared.broker.base import Broker, DeadLetter, Delivery
from shared.broker.memory import MemoryBroker
from shared.broker.rabbitmq import RabbitBroker
from shared.errors import BrokerUnavailable, QueueFull
from shared.ids import new_id
from shared.messages import (
    AdapterPublished,
    CancelGeneration,
    Frame,
    GenerateReply,
    GenerationChanged,
    IngestDocument,
    TokensGenerated,
    WatchGeneration,
)
from tests.rabbitmq_node import RabbitNode, clear_policy, set_policy

Message = CancelGeneration | WatchGeneration | AdapterPublished | TokensGenerated | GenerationChanged


class Inbox:
    """A handler that keeps what it got."""

    def __init__(self, effect: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        self.deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self._effect = effect

    async def permit(self, delivery: Delivery) -> None:
        self.deliveries.put_nowait(delivery)
        if self._effect:
            await self._effect(delivery)

    async def message(self, message: Message) -> None:
        self.messages.put_nowait(message)

    async def next_permit(self) -> Delivery:
        async with asyncio.timeout(5):
            return await self.deliveries.get()

    async def next_message(self) -> Message:
        async with asyncio.timeout(5):
            return await self.messages.get()


async def hold(delivery: Delivery) -> None:
    """A worker that is busy with its permit until it is cancelled."""
    await asyncio.Event().wait()


async def acknowledge(delivery: Delivery) -> None:
    await delivery.ack()


async def dead_letter(broker: Broker, generation_id: str | None) -> DeadLetter:
    """The broker tells nobody when a letter has come: look until it is there, giving way to other tasks."""
    async with asyncio.timeout(10):
        while True:
            for letter in await broker.dead_letters(100_000):
                if letter.generation_id == generation_id:
                    return letter
            await asyncio.sleep(0)


def permits(count: int) -> list[GenerateReply]:
    return [GenerateReply(generation_id=new_id()) for _ in range(count)]


async def _until_it_takes(broker: Broker, lane: str) -> None:
    """A lane that has room again."""
    while True:
        with contextlib.suppress(QueueFull):
            return await broker.publish_permit(lane, permits(1)[0])


class BrokerContract:
    """Subclasses have the fixtures `broker` and `bounded_broker` (its `lane` holds `capacity` permits)."""

    @pytest.fixture
    def lane(self) -> str:
        return f"interactive.test-{new_id()}"

    async def test_permit_published_before_any_worker_came_is_delivered(self, broker: Broker, lane: str) -> None:
        (permit,) = permits(1)
        await broker.declare_lane(lane)
        await broker.publish_permit(lane, permit)
        inbox = Inbox(acknowledge)

        async with broker.consume_permits(lane, 1, inbox.permit):
            delivery = await inbox.next_permit()

        assert delivery.message == permit
        assert not delivery.redelivered

    async def test_a_permit_to_read_a_document_travels_and_is_buried_like_any_other(
        self, broker: Broker, lane: str
    ) -> None:
        permit = IngestDocument(document_id=new_id())
        await broker.publish_permit(lane, permit)
        inbox = Inbox(lambda delivery: delivery.bury())

        async with broker.consume_permits(lane, 1, inbox.permit):
            assert (await inbox.next_permit()).message == permit
            assert (await dead_letter(broker, None)).reason == "rejected"  # it names no generation
        assert await broker.take_dead_letter(None)

    @pytest.fixture
    def capacity(self) -> int:
        return 5

    async def test_full_lane_refuses_permits_and_loses_none_it_took(
        self, bounded_broker: Broker, lane: str, capacity: int
    ) -> None:
        """RabbitMQ may take a few more than its limit: it tells publishers only after it was crossed."""
        taken, refused = [], 0
        await bounded_broker.declare_lane(lane)
        for permit in permits(3 * capacity):
            try:
                await bounded_broker.publish_permit(lane, permit)
            except QueueFull:
                refused += 1
            else:
                taken.append(permit)
        inbox = Inbox(acknowledge)

        async with bounded_broker.consume_permits(lane, 1, inbox.permit):
            received = [(await inbox.next_permit()).message for _ in taken]
            await asyncio.wait_for(_until_it_takes(bounded_broker, lane), 10)

        assert capacity <= len(taken) <= capacity + 3
        assert refused == 3 * capacity - len(taken)
        assert received == taken

    async def test_permits_come_in_the_order_they_were_published(self, broker: Broker, lane: str) -> None:
        sent = permits(20)
        for permit in sent:
            await broker.publish_permit(lane, permit)
        inbox = Inbox(acknowledge)

        async with broker.consume_permits(lane, 1, inbox.permit):
            received = [(await inbox.next_permit()).message for _ in sent]

        assert received == sent

    async def test_no_more_permits_than_prefetch_are_held_at_once(self, broker: Broker, lane: str) -> None:
        for permit in permits(5):
            await broker.publish_permit(lane, permit)
        held, finished = Inbox(hold), Inbox(acknowledge)

        async with broker.consume_permits(lane, 2, held.permit), broker.consume_permits(lane, 1, finished.permit):
            ids = {(await finished.next_permit()).message for _ in range(3)}

            assert held.deliveries.qsize() == 2
            assert len(ids) == 3

    async def test_permit_of_a_worker_that_ends_comes_back_marked_as_redelivered(
        self, broker: Broker, lane: str
    ) -> None:
        (permit,) = permits(1)
        await broker.publish_permit(lane, permit)
        first, second = Inbox(hold), Inbox(acknowledge)
        async with broker.consume_permits(lane, 1, first.permit):
            await first.next_permit()

        async with broker.consume_permits(lane, 1, second.permit):
            after = await second.next_permit()

        assert after.message == permit
        assert after.redelivered

    async def test_permit_whose_handler_raises_comes_back(
        self, broker: Broker, lane: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail_once(delivery: Delivery) -> None:
            if not delivery.redelivered:
                raise ValueError("a bug")
            await delivery.ack()

        await broker.publish_permit(lane, permits(1)[0])
        inbox = Inbox(fail_once)

        async with broker.consume_permits(lane, 1, inbox.permit):
            assert not (await inbox.next_permit()).redelivered
            assert (await inbox.next_permit()).redelivered

    async def test_acknowledged_permit_never_comes_back(self, broker: Broker, lane: str) -> None:
        first, last = permits(2)
        await broker.publish_permit(lane, first)
        inbox, later = Inbox(acknowledge), Inbox(acknowledge)
        async with broker.consume_permits(lane, 1, inbox.permit):
            await inbox.next_permit()
        await broker.publish_permit(lane, last)

        async with broker.consume_permits(lane, 1, later.permit):
            assert (await later.next_permit()).message == last

    async def test_settling_a_permit_twice_does_nothing(self, broker: Broker, lane: str) -> None:
        async def settle_twice(delivery: Delivery) -> None:
            await delivery.ack()
            await delivery.requeue()
            await delivery.ack()

        first, last = permits(2)
        await broker.publish_permit(lane, first)
        await broker.publish_permit(lane, last)
        inbox = Inbox(settle_twice)

        async with broker.consume_permits(lane, 1, inbox.permit):
            assert [(await inbox.next_permit()).message for _ in range(2)] == [first, last]

    async def test_buried_permit_is_a_dead_letter_until_it_is_taken(self, broker: Broker, lane: str) -> None:
        buried, other, last = permits(3)
        for permit in (buried, other, last):
            await broker.publish_permit(lane, permit)
        inbox = Inbox(lambda delivery: delivery.ack() if delivery.message == last else delivery.bury())

        async with broker.consume_permits(lane, 1, inbox.permit):
            assert [(await inbox.next_permit()).message for _ in range(3)] == [buried, other, last]
        letter = await dead_letter(broker, buried.generation_id)

        assert (letter.reason, letter.times) == ("rejected", 1)
        assert abs((datetime.now(UTC) - letter.died_at).total_seconds()) < 60
        assert await broker.take_dead_letter(buried.generation_id)
        assert not await broker.take_dead_letter(buried.generation_id)
        assert (await dead_letter(broker, other.generation_id)).generation_id == other.generation_id

    async def test_permit_is_buried_under_the_name_of_the_generation_it_claimed(
        self, broker: Broker, lane: str
    ) -> None:
        (permit,) = permits(1)
        claimed = new_id()
        await broker.publish_permit(lane, permit)
        inbox = Inbox(lambda delivery: delivery.bury(claimed))

        async with broker.consume_permits(lane, 1, inbox.permit):
            await inbox.next_permit()
            letter = await dead_letter(broker, claimed)

        assert (letter.reason, letter.times) == ("rejected", 1)
        assert not await broker.take_dead_letter(permit.generation_id)

    async def test_looking_at_dead_letters_moves_none(self, broker: Broker, lane: str) -> None:
        sent = permits(10)
        for permit in sent:
            await broker.publish_permit(lane, permit)
        inbox = Inbox(lambda delivery: delivery.bury())
        async with broker.consume_permits(lane, 1, inbox.permit):
            await dead_letter(broker, sent[-1].generation_id)
        expected = await broker.dead_letters(100_000)

        assert [await broker.dead_letters(100_000) for _ in range(21)] == [expected] * 21
        assert await broker.dead_letters(3) == expected[:3]

    async def test_lanes_do_not_mix(self, broker: Broker, lane: str) -> None:
        mine, other = permits(2)
        await broker.publish_permit(f"{lane}-other", other)
        await broker.publish_permit(lane, mine)
        inbox = Inbox(acknowledge)

        async with broker.consume_permits(lane, 1, inbox.permit):
            assert (await inbox.next_permit()).message == mine
            assert inbox.deliveries.empty()

    async def test_what_is_for_all_reaches_every_worker(self, broker: Broker) -> None:
        cancel = CancelGeneration(generation_id=new_id())
        published = AdapterPublished(adapter="wallpaper")
        inboxes = {new_id(): Inbox(), new_id(): Inbox()}
        (one, first), (two, second) = inboxes.items()

        async with broker.consume_control(one, first.message), broker.consume_control(two, second.message):
            for message in (cancel, published):
                await broker.publish_control(message, None)

                assert [await first.next_message(), await second.next_message()] == [message, message]

    async def test_command_to_one_worker_reaches_only_that_one(self, broker: Broker) -> None:
        watch = WatchGeneration(generation_id=new_id(), node_id=new_id(), offset=3)
        everyone = CancelGeneration(generation_id=new_id())
        one, two = new_id(), new_id()
        first, second = Inbox(), Inbox()

        async with broker.consume_control(one, first.message), broker.consume_control(two, second.message):
            await broker.publish_control(watch, one)
            await broker.publish_control(everyone, None)

            assert [await first.next_message(), await first.next_message()] == [watch, everyone]
            assert await second.next_message() == everyone

    async def test_node_gets_its_own_messages_in_order(self, broker: Broker) -> None:
        node, other = new_id(), new_id()
        sent = [
            TokensGenerated(
                worker_id=new_id(),
                frames=(Frame(generation_id=new_id(), attempt=1, offset=number, text="안녕 👋"),),
            )
            for number in range(50)
        ]
        inbox = Inbox()

        async with broker.consume_node(node, inbox.message):
            await broker.publish_to_node(other, sent[0])
            for message in sent:
                await broker.publish_to_node(node, message)

            assert [await inbox.next_message() for _ in sent] == sent

    async def test_message_to_a_node_that_is_away_is_no_error(self, broker: Broker) -> None:
        await broker.publish_to_node(new_id(), GenerationChanged(generation_id=new_id(), attempt=1, state="done"))

    async def test_handler_that_raises_does_not_stop_later_messages(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        node = new_id()
        changes = [GenerationChanged(generation_id=new_id(), attempt=1, state="done") for _ in range(2)]
        inbox = Inbox()

        async def fail_first(message: Message) -> None:
            await inbox.message(message)
            if message == changes[0]:
                raise ValueError("a bug")

        async with broker.consume_node(node, fail_first):
            for change in changes:
                await broker.publish_to_node(node, change)

            assert [await inbox.next_message() for _ in changes] == changes


class TestMemoryBroker(BrokerContract):
    @pytest.fixture
    async def broker(self) -> AsyncIterator[Broker]:
        async with MemoryBroker() as broker:
            yield broker

    @pytest.fixture
    async def bounded_broker(self, capacity: int) -> AsyncIterator[Broker]:
        async with MemoryBroker(capacity=capacity) as broker:
            yield broker


@pytest.mark.rabbitmq
class TestRabbitBroker(BrokerContract):
    @pytest.fixture
    async def broker(self, rabbit_url: str) -> AsyncIterator[Broker]:
        async with RabbitBroker(rabbit_url) as broker:
            yield broker

    @pytest.fixture
    async def bounded_broker(self, capacity: int, rabbit_node: RabbitNode, lane: str) -> AsyncIterator[Broker]:
        pattern = "^" + re.escape(topology.request_queue(lane)) + "$"
        await asyncio.to_thread(set_policy, rabbit_node, lane, pattern, max_length=capacity)
        async with RabbitBroker(rabbit_node.url) as broker:
            yield broker
        await asyncio.to_thread(clear_policy, rabbit_node, lane)

    async def test_nobody_at_the_address_is_said_at_once(self) -> None:
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            await RabbitBroker("amqp://guest:guest@127.0.0.1:1/").__aenter__()

    async def test_queue_whose_limit_is_lifted_takes_permits_again(self, rabbit_node: RabbitNode, lane: str) -> None:
        pattern = "^" + re.escape(topology.request_queue(lane)) + "$"
        async with RabbitBroker(rabbit_node.url) as broker:
            await asyncio.to_thread(set_policy, rabbit_node, lane, pattern, max_length=1)
            with pytest.raises(QueueFull):
                for permit in permits(10):
                    await broker.publish_permit(lane, permit)
            await asyncio.to_thread(clear_policy, rabbit_node, lane)

            for permit in permits(3):
                await broker.publish_permit(lane, permit)

    async def test_unreadable_permit_goes_to_the_dead_letter_queue_and_the_next_is_served(
        self, broker: Broker, rabbit_url: str, lane: str
    ) -> None:
        await broker.declare_lane(lane)
        connection = await aio_pika.connect(rabbit_url)
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(topology.REQUESTS_EXCHANGE)
            await exchange.publish(aio_pika.Message(b"no permit"), lane)
            (permit,) = permits(1)
            await broker.publish_permit(lane, permit)
            inbox = Inbox(acknowledge)

            async with broker.consume_permits(lane, 1, inbox.permit):
                assert (await inbox.next_permit()).message == permit

            assert (await dead_letter(broker, None)).reason == "rejected"
            assert await broker.take_dead_letter(None)
            assert not await broker.take_dead_letter(None)

    async def test_everything_goes_on_after_the_connection_was_cut(self, rabbit_url: str, lane: str) -> None:
        async with RabbitBroker(rabbit_url) as broker:
            node, inbox, back = new_id(), Inbox(acknowledge), asyncio.Event()
            broker.on_reconnect(back.set)
            async with broker.consume_permits(lane, 1, inbox.permit), broker.consume_node(node, inbox.message):
                for connection in (broker._publishing, broker._consuming):
                    assert connection.transport is not None
                    await connection.transport.connection.close(ConnectionResetError("cut by the test"))
                async with asyncio.timeout(10):
                    await back.wait()
                (permit,) = permits(1)
                await broker.publish_permit(lane, permit)
                assert (await inbox.next_permit()).message == permit
                changed = GenerationChanged(generation_id=new_id(), attempt=1, state="done")
                await broker.publish_to_node(node, changed)

                assert await inbox.next_message() == changed
