"""The broker over RabbitMQ 3.10 to 4.x (aio-pika). Names and arguments: shared/topology.py.

One connection publishes and another consumes, so that a broker that throttles publishers never delays
acknowledgements. Lost connections are restored by aio-pika with all queues and consumers, on the next node that
answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import (
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustConnection,
    AbstractRobustExchange,
    AbstractRobustQueue,
    HeadersType,
)
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from yarl import URL

from shared import topology, tracing
from shared.broker.base import ControlHandler, DeadLetter, NodeHandler, PermitHandler
from shared.errors import BrokerUnavailable, QueueFull
from shared.ids import new_id
from shared.messages import (
    AdapterPublished,
    AnyMessage,
    Control,
    GenerateReply,
    GenerationChanged,
    MessageUnreadable,
    Permit,
    TokensGenerated,
    decode,
    encode,
)
from shared.metrics import BROKER_ERRORS, BROKER_LATENCY
from shared.telemetry import fields

log = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
_RECONNECT_INTERVAL_S = 0.5
_PATIENCE_S = 1.0  # a publisher waits this long for a lost connection to come back
_QUIET_S = 0.05  # after this long without a dead letter we ask whether there are more
_MOST_IN_HAND = 65_535  # AMQP's largest prefetch
_HEARTBEAT_S = 10  # how soon a silent network is noticed: the broker after two of them, we after three
_CONNECTION_ERRORS = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)


class RabbitBroker:
    """Implements shared.broker.base.Broker. Entering raises BrokerUnavailable if nobody answers at `urls`.

    `urls`: one address, or those of a cluster's nodes separated by commas, tried in turn at every attempt to connect.
    """

    _publishing: AbstractRobustConnection
    _consuming: AbstractRobustConnection
    _confirmed: AbstractRobustChannel  # permits and control
    _unconfirmed: AbstractRobustChannel  # node messages
    _requests: AbstractRobustExchange
    _control: AbstractRobustExchange
    _tokens: AbstractRobustExchange

    def __init__(self, urls: str) -> None:
        self._nodes = [_node_url(url) for url in urls.split(",") if url.strip()]
        self._lanes: set[str] = set()

    async def __aenter__(self) -> RabbitBroker:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                self._publishing = await self._connect("publish")
                self._consuming = await self._connect("consume")
                self._confirmed = await _channel(self._publishing, confirms=True)
                self._unconfirmed = await _channel(self._publishing, confirms=False)
                self._requests, self._control, _ = await _declare_exchanges(self._confirmed)
                _, _, self._tokens = await _declare_exchanges(self._unconfirmed)
        except _CONNECTION_ERRORS as error:
            await self.__aexit__()
            raise BrokerUnavailable(f"RabbitMQ does not answer: {type(error).__name__}") from error
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for connection in (getattr(self, "_consuming", None), getattr(self, "_publishing", None)):
            if connection is not None:
                with contextlib.suppress(*_CONNECTION_ERRORS):
                    async with asyncio.timeout(_TIMEOUT_S):
                        await connection.close()

    async def _connect(self, purpose: str) -> AbstractRobustConnection:
        nodes = itertools.cycle(self._nodes)
        for attempts_left in reversed(range(len(self._nodes))):
            connection = _ClusterConnection(
                self._nodes[0],
                nodes,
                reconnect_interval=_RECONNECT_INTERVAL_S,
                client_properties={"connection_name": f"nunmal {purpose}"},
            )
            try:
                await connection.connect(timeout=_TIMEOUT_S / len(self._nodes))
            except _CONNECTION_ERRORS:
                await connection.close()
                if not attempts_left:
                    raise
            else:
                return connection
        raise BrokerUnavailable("no address of RabbitMQ is given")

    @property
    def is_connected(self) -> bool:
        return all(
            connection.connected.is_set() and connection.transport and not connection.transport.connection.is_closed
            for connection in (self._publishing, self._consuming)
        )

    @property
    def server_version(self) -> str:
        """As the broker calls it; empty if it does not say."""
        transport = self._publishing.transport
        told: Any = transport.connection.server_properties.get("version", b"") if transport else b""
        return told.decode() if isinstance(told, bytes) else str(told)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._consuming.reconnect_callbacks.add(lambda *_: callback())

    async def declare_lane(self, lane: str) -> None:
        async with _translated(self._confirmed):
            await self._declare_lane(self._confirmed, lane)

    async def _declare_lane(self, channel: AbstractRobustChannel, lane: str) -> AbstractRobustQueue:
        await _declare_dead_queue(channel)
        queue = await channel.declare_queue(
            topology.request_queue(lane), durable=True, arguments=topology.REQUEST_QUEUE_ARGUMENTS
        )
        await queue.bind(topology.REQUESTS_EXCHANGE, lane)
        self._lanes.add(lane)
        return queue

    async def publish_permit(self, lane: str, message: Permit) -> None:
        permit = _message(message, aio_pika.DeliveryMode.PERSISTENT)
        with _measured("permit"):
            await self._publish_permit(lane, permit)

    async def _publish_permit(self, lane: str, permit: aio_pika.Message) -> None:
        async with _translated(self._confirmed):
            if lane not in self._lanes:
                await self._declare_lane(self._confirmed, lane)
            try:
                await self._requests.publish(permit, lane, mandatory=True, timeout=_TIMEOUT_S)
            except PublishError:  # returned: the queue was deleted behind our back
                await self._declare_lane(self._confirmed, lane)
                await self._requests.publish(permit, lane, mandatory=True, timeout=_TIMEOUT_S)
            except DeliveryError:
                await self._publish_anew(permit, lane)

    async def _publish_anew(self, permit: aio_pika.Message, lane: str) -> None:
        """A channel that was refused once stays refused when the limit is lifted (rabbitmq-server #12206), so a new one
        is asked too, and takes the old one's place if it fares better. Raises DeliveryError."""
        channel = await _channel(self._publishing, confirms=True)
        try:
            requests, control, _ = await _declare_exchanges(channel)
            await requests.publish(permit, lane, mandatory=True, timeout=_TIMEOUT_S)
        except BaseException:
            await _close(channel)
            raise
        # The old channel stays open: others may wait for its confirms.
        self._confirmed, self._requests, self._control = channel, requests, control

    @contextlib.asynccontextmanager
    async def consume_permits(self, lane: str, prefetch: int, handler: PermitHandler) -> AsyncIterator[None]:
        # After a reconnection the broker hands out `prefetch` new permits while the old handlers still run.
        free = asyncio.Semaphore(prefetch)
        handlers: set[asyncio.Task[None]] = set()

        async def handle(incoming: AbstractIncomingMessage) -> None:
            async with free:
                await _handle_permit(incoming, dead_exchange, handler)

        async def on_message(incoming: AbstractIncomingMessage) -> None:
            task = asyncio.create_task(handle(incoming))
            handlers.add(task)
            task.add_done_callback(handlers.discard)

        async with _translated():
            channel = await _channel(self._consuming, confirms=True)
            await channel.set_qos(prefetch_count=prefetch)
            queue = await self._declare_lane(channel, lane)
            dead_exchange = await channel.get_exchange(topology.DEAD_EXCHANGE, ensure=False)
            tag = await queue.consume(on_message)
        try:
            yield
        finally:
            with contextlib.suppress(*_CONNECTION_ERRORS):
                async with asyncio.timeout(_TIMEOUT_S):
                    await queue.cancel(tag)
            for task in handlers:
                task.cancel()
            if handlers:
                await asyncio.wait(handlers)
            await _close(channel)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        async with self._dead_letters_in_hand(limit) as letters:
            return [_dead_letter(letter) for letter in letters]

    async def take_dead_letter(self, generation_id: str | None) -> bool:
        taken = 0
        async with self._dead_letters_in_hand(None) as letters:
            for letter in letters:
                if _dead_letter(letter).generation_id == generation_id:
                    await letter.ack()
                    taken += 1
        return taken > 0

    @contextlib.asynccontextmanager
    async def _dead_letters_in_hand(self, limit: int | None) -> AsyncIterator[list[AbstractIncomingMessage]]:
        """Unacknowledged, on a channel of its own; those not acknowledged go back where they were."""
        letters: list[AbstractIncomingMessage] = []
        arriving: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        async with _translated(timeout_s=None):  # thousands take longer; every step has its own limit
            channel = await _channel(self._consuming, confirms=True)
            try:
                queue = await _declare_dead_queue(channel)
                count = _MOST_IN_HAND if limit is None else min(limit, _MOST_IN_HAND)
                await channel.set_qos(prefetch_count=count)
                await queue.consume(arriving.put)  # a hundred times faster than one `get` after another
                while len(letters) < count:
                    try:
                        letters.append(await asyncio.wait_for(arriving.get(), _QUIET_S))
                    except TimeoutError:  # a pause proves nothing, the queue's own word does
                        if letter := await queue.get(fail=False, timeout=_TIMEOUT_S):
                            letters.append(letter)
                        elif arriving.empty():
                            break
                yield letters
                if kept := [letter for letter in letters if not letter.processed]:
                    await kept[-1].nack(multiple=True, requeue=True)  # RabbitMQ 4.3 counts this as no delivery
            finally:
                await _close(channel)

    async def publish_control(self, message: Control, worker_id: str | None) -> None:
        to_all = topology.ADAPTERS_KEY if isinstance(message, AdapterPublished) else topology.CANCEL_KEY
        key = to_all if worker_id is None else topology.worker_key(worker_id)
        with _measured("control"):
            async with _translated(self._confirmed):
                await self._control.publish(_message(message), key, mandatory=False, timeout=_TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def consume_control(self, worker_id: str, handler: ControlHandler) -> AsyncIterator[None]:
        bindings = [topology.CANCEL_KEY, topology.ADAPTERS_KEY, topology.worker_binding(worker_id)]
        async with self._consume_transient(topology.CONTROL_EXCHANGE, bindings, handler):
            yield

    async def publish_to_node(self, node_id: str, message: TokensGenerated | GenerationChanged) -> None:
        with _measured("node"):
            async with _translated(self._unconfirmed):
                await self._tokens.publish(_message(message), node_id, mandatory=False, timeout=_TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def consume_node(self, node_id: str, handler: NodeHandler) -> AsyncIterator[None]:
        async with self._consume_transient(topology.TOKENS_EXCHANGE, [node_id], handler):
            yield

    @contextlib.asynccontextmanager
    async def _consume_transient(
        self, exchange: str, bindings: list[str], handler: Callable[[Any], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """A server-named queue of this connection's own: gone with it, and made again by a reconnection."""
        in_order = asyncio.Lock()

        async def on_message(incoming: AbstractIncomingMessage) -> None:
            async with in_order:  # asyncio locks are fair, and aio-pika starts callbacks in order of arrival
                try:
                    await handler(decode(incoming.body))
                except Exception:
                    log.exception("message_handler_failed")

        async with _translated():
            channel = await _channel(self._consuming, confirms=True)
            queue = await channel.declare_queue("", exclusive=True, arguments=topology.NODE_QUEUE_ARGUMENTS)
            for key in bindings:
                await queue.bind(exchange, key)
            await queue.consume(on_message, no_ack=True)
        try:
            yield
        finally:
            await _close(channel)


class _ClusterConnection(aio_pika.RobustConnection):
    """A robust connection whose every attempt goes to the next of `nodes`.

    aio-pika has no public place for that. The method overridden makes one attempt; a test fails if it is renamed.
    """

    def __init__(self, url: URL, nodes: Iterator[URL], **options: Any) -> None:
        super().__init__(url, **options)
        self._nodes = nodes

    async def _RobustConnection__connect_transport(self) -> None:  # noqa: N802
        self.url = next(self._nodes)
        await super()._RobustConnection__connect_transport()  # type: ignore[misc]  # mypy knows no mangled names


class _RabbitDelivery:
    """Implements shared.broker.base.Delivery."""

    def __init__(self, incoming: AbstractIncomingMessage, message: Permit, dead_exchange: AbstractExchange) -> None:
        self.message = message
        self.redelivered = bool(incoming.redelivered)
        self._incoming = incoming
        self._dead_exchange = dead_exchange

    @property
    def is_settled(self) -> bool:
        return self._incoming.processed

    async def ack(self) -> None:
        if not self.is_settled:
            with contextlib.suppress(*_CONNECTION_ERRORS):
                await self._incoming.ack()

    async def requeue(self) -> None:
        if not self.is_settled:
            with contextlib.suppress(*_CONNECTION_ERRORS):
                await self._incoming.nack(requeue=True)  # a reject would count towards the delivery limit

    async def bury(self, generation_id: str | None = None) -> None:
        if self.is_settled:
            return
        with contextlib.suppress(*_CONNECTION_ERRORS):
            if generation_id in (None, getattr(self.message, "generation_id", None)):
                await self._incoming.reject(requeue=False)  # the queue dead-letters it, at least once
            else:
                letter = _message(GenerateReply(generation_id=generation_id), aio_pika.DeliveryMode.PERSISTENT)
                await self._dead_exchange.publish(letter, topology.DEAD_QUEUE, mandatory=True, timeout=_TIMEOUT_S)
                await self._incoming.ack()


async def _handle_permit(
    incoming: AbstractIncomingMessage, dead_exchange: AbstractExchange, handler: PermitHandler
) -> None:
    try:
        message = _permit(incoming.body)
    except MessageUnreadable as error:
        log.warning("permit_unreadable", extra=fields(reason=str(error)))
        with contextlib.suppress(*_CONNECTION_ERRORS):
            await incoming.reject(requeue=False)  # to the dead-letter queue
        return
    delivery = _RabbitDelivery(incoming, message, dead_exchange)
    try:
        await handler(delivery)
    except Exception:
        log.exception("permit_handler_failed")
    await delivery.requeue()


def _permit(body: bytes) -> Permit:
    message = decode(body)
    if not isinstance(message, Permit):
        raise MessageUnreadable(f"{message.kind} is no permit")
    return message


def _dead_letter(letter: AbstractIncomingMessage) -> DeadLetter:
    """RabbitMQ tells the story in `x-death`, last death first; a permit buried under another name has none."""
    generation_id = None
    with contextlib.suppress(MessageUnreadable):
        generation_id = getattr(_permit(letter.body), "generation_id", None)
    deaths: Any = letter.headers.get("x-death") or [{}]
    return DeadLetter(
        generation_id=generation_id,
        reason=str(deaths[0].get("reason", "rejected")),
        died_at=deaths[0].get("time") or letter.timestamp or datetime.now(UTC),
        times=sum(int(death.get("count", 1)) for death in deaths),
    )


def _node_url(url: str) -> URL:
    node = URL(url.strip())
    return node if "heartbeat" in node.query else node.update_query(heartbeat=_HEARTBEAT_S)


async def _channel(connection: AbstractRobustConnection, *, confirms: bool) -> AbstractRobustChannel:
    """Raises TimeoutError if a lost connection is not back in time."""
    async with asyncio.timeout(_TIMEOUT_S):
        await connection.ready()
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    assert isinstance(channel, AbstractRobustChannel)
    return channel


async def _close(channel: AbstractRobustChannel) -> None:
    with contextlib.suppress(*_CONNECTION_ERRORS):
        async with asyncio.timeout(_TIMEOUT_S):
            await channel.close()


async def _declare_dead_queue(channel: AbstractRobustChannel) -> AbstractRobustQueue:
    exchange = await channel.declare_exchange(topology.DEAD_EXCHANGE, "direct", durable=True)
    queue = await channel.declare_queue(topology.DEAD_QUEUE, durable=True, arguments=topology.DEAD_QUEUE_ARGUMENTS)
    await queue.bind(exchange, topology.DEAD_QUEUE)
    return queue


async def _declare_exchanges(
    channel: AbstractRobustChannel,
) -> tuple[AbstractRobustExchange, AbstractRobustExchange, AbstractRobustExchange]:
    requests = await channel.declare_exchange(topology.REQUESTS_EXCHANGE, "direct", durable=True)
    control = await channel.declare_exchange(topology.CONTROL_EXCHANGE, "topic", durable=True)
    tokens = await channel.declare_exchange(topology.TOKENS_EXCHANGE, "direct", durable=True)
    return requests, control, tokens


def _message(
    message: AnyMessage, delivery_mode: aio_pika.DeliveryMode = aio_pika.DeliveryMode.NOT_PERSISTENT
) -> aio_pika.Message:
    generation_id = getattr(message, "generation_id", None)  # frames are of many
    headers: HeadersType | None = (
        {"traceparent": tracing.traceparent(generation_id)} if tracing.is_on() and generation_id else None
    )
    return aio_pika.Message(
        encode(message),
        headers=headers,
        content_type="application/json",
        message_id=new_id(),
        timestamp=datetime.now(UTC),
        type=message.kind,
        delivery_mode=delivery_mode,
    )


_took = functools.cache(BROKER_LATENCY.labels)  # a frame is sent in 0.1 ms, of which this look-up would be a tenth


@contextlib.contextmanager
def _measured(kind: str) -> Iterator[None]:
    """A full queue is an answer; a broker that is away is an error."""
    begun = time.perf_counter()
    try:
        yield
    except BrokerUnavailable:
        BROKER_ERRORS.labels(kind).inc()
        raise
    finally:
        _took(kind).observe(time.perf_counter() - begun)


@contextlib.asynccontextmanager
async def _translated(
    channel: AbstractRobustChannel | None = None, timeout_s: float | None = _TIMEOUT_S
) -> AsyncIterator[None]:
    """What the client raises leaves the broker as QueueFull or BrokerUnavailable, after `timeout_s` at the latest.

    A `channel` whose connection is lost has one second to be back.
    """
    try:
        async with asyncio.timeout(timeout_s):
            if channel is not None:
                async with asyncio.timeout(_PATIENCE_S):
                    await channel.ready()
            yield
    except PublishError as error:
        raise BrokerUnavailable("RabbitMQ returned the message: no queue took it") from error
    except DeliveryError as error:
        raise QueueFull from error
    except _CONNECTION_ERRORS as error:
        raise BrokerUnavailable(f"RabbitMQ does not answer: {type(error).__name__}") from error
