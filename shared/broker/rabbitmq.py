"""The broker over RabbitMQ 3.10 to 4.x (aio-pika). Names and arguments: shared/topology.py.

One connection publishes and another consumes, so that a broker that throttles publishers never delays
acknowledgements. Lost connections are restored by aio-pika with all queues and consumers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import (
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustConnection,
    AbstractRobustExchange,
)
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError

from shared import topology
from shared.broker.base import ControlHandler, NodeHandler, PermitHandler
from shared.errors import BrokerUnavailable, QueueFull
from shared.ids import new_id
from shared.messages import (
    AnyMessage,
    CancelGeneration,
    GenerateReply,
    GenerationChanged,
    MessageUnreadable,
    TokensGenerated,
    WatchGeneration,
    decode,
    encode,
)
from shared.telemetry import fields

log = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
_RECONNECT_INTERVAL_S = 0.5
_CONNECTION_ERRORS = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)


class RabbitBroker:
    """Implements shared.broker.base.Broker. Entering raises BrokerUnavailable if nobody answers at `url`."""

    _publishing: AbstractRobustConnection
    _consuming: AbstractRobustConnection
    _confirmed: AbstractRobustChannel  # permits and control
    _requests: AbstractRobustExchange
    _control: AbstractRobustExchange
    _tokens: AbstractRobustExchange  # on a channel without confirms

    def __init__(self, url: str) -> None:
        self._url = url
        self._lanes: set[str] = set()

    async def __aenter__(self) -> RabbitBroker:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                self._publishing = await self._connect("publish")
                self._consuming = await self._connect("consume")
                self._confirmed = await _channel(self._publishing, confirms=True)
                unconfirmed = await _channel(self._publishing, confirms=False)
                self._requests, self._control, _ = await _declare_exchanges(self._confirmed)
                _, _, self._tokens = await _declare_exchanges(unconfirmed)
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
        return await aio_pika.connect_robust(
            self._url,
            timeout=_TIMEOUT_S,
            reconnect_interval=_RECONNECT_INTERVAL_S,
            client_properties={"connection_name": f"nunmal {purpose}"},
        )

    @property
    def is_connected(self) -> bool:
        return all(
            not connection.is_closed and connection.connected.is_set()
            for connection in (self._publishing, self._consuming)
        )

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._consuming.reconnect_callbacks.add(lambda *_: callback())

    async def declare_lane(self, lane: str) -> None:
        async with _translated():
            await self._declare_lane(self._confirmed, lane)
        self._lanes.add(lane)

    async def _declare_lane(self, channel: AbstractRobustChannel, lane: str) -> Any:
        dead_exchange = await channel.declare_exchange(topology.DEAD_EXCHANGE, "direct", durable=True)
        dead_queue = await channel.declare_queue(
            topology.DEAD_QUEUE, durable=True, arguments=topology.DEAD_QUEUE_ARGUMENTS
        )
        await dead_queue.bind(dead_exchange, topology.DEAD_QUEUE)
        queue = await channel.declare_queue(
            topology.request_queue(lane), durable=True, arguments=topology.REQUEST_QUEUE_ARGUMENTS
        )
        await queue.bind(topology.REQUESTS_EXCHANGE, lane)
        return queue

    async def publish_permit(self, lane: str, message: GenerateReply) -> None:
        if lane not in self._lanes:
            await self.declare_lane(lane)
        permit = _message(message, aio_pika.DeliveryMode.PERSISTENT)
        async with _translated():
            try:
                await self._requests.publish(permit, lane, mandatory=True, timeout=_TIMEOUT_S)
            except PublishError:  # returned: the queue was deleted behind our back
                await self._declare_lane(self._confirmed, lane)
                await self._requests.publish(permit, lane, mandatory=True, timeout=_TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def consume_permits(self, lane: str, prefetch: int, handler: PermitHandler) -> AsyncIterator[None]:
        # After a reconnection the broker hands out `prefetch` new permits while the old handlers still run.
        free = asyncio.Semaphore(prefetch)
        handlers: set[asyncio.Task[None]] = set()

        async def handle(incoming: AbstractIncomingMessage) -> None:
            async with free:
                await _handle_permit(incoming, handler)

        async def on_message(incoming: AbstractIncomingMessage) -> None:
            task = asyncio.create_task(handle(incoming))
            handlers.add(task)
            task.add_done_callback(handlers.discard)

        async with _translated():
            channel = await _channel(self._consuming, confirms=True)
            await channel.set_qos(prefetch_count=prefetch)
            queue = await self._declare_lane(channel, lane)
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

    async def publish_control(self, message: CancelGeneration | WatchGeneration, worker_id: str | None) -> None:
        key = topology.CANCEL_KEY if worker_id is None else topology.worker_key(worker_id)
        async with _translated():
            await self._control.publish(_message(message), key, mandatory=False, timeout=_TIMEOUT_S)

    @contextlib.asynccontextmanager
    async def consume_control(self, worker_id: str, handler: ControlHandler) -> AsyncIterator[None]:
        bindings = [topology.CANCEL_KEY, topology.worker_binding(worker_id)]
        async with self._consume_transient(topology.CONTROL_EXCHANGE, bindings, handler):
            yield

    async def publish_to_node(self, node_id: str, message: TokensGenerated | GenerationChanged) -> None:
        async with _translated():
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


class _RabbitDelivery:
    """Implements shared.broker.base.Delivery."""

    def __init__(self, incoming: AbstractIncomingMessage, message: GenerateReply) -> None:
        self.message = message
        self.permit_id = incoming.message_id or ""
        self.redelivered = bool(incoming.redelivered)
        self._incoming = incoming

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
                await self._incoming.reject(requeue=True)


async def _handle_permit(incoming: AbstractIncomingMessage, handler: PermitHandler) -> None:
    try:
        message = decode(incoming.body)
        if not isinstance(message, GenerateReply):
            raise MessageUnreadable(f"{message.kind} is no permit")
    except MessageUnreadable as error:
        log.warning("permit_unreadable", extra=fields(reason=str(error)))
        with contextlib.suppress(*_CONNECTION_ERRORS):
            await incoming.reject(requeue=False)  # to the dead-letter queue
        return
    delivery = _RabbitDelivery(incoming, message)
    try:
        await handler(delivery)
    except Exception:
        log.exception("permit_handler_failed")
    await delivery.requeue()


async def _channel(connection: AbstractRobustConnection, *, confirms: bool) -> AbstractRobustChannel:
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    assert isinstance(channel, AbstractRobustChannel)
    return channel


async def _close(channel: AbstractRobustChannel) -> None:
    with contextlib.suppress(*_CONNECTION_ERRORS):
        async with asyncio.timeout(_TIMEOUT_S):
            await channel.close()


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
    return aio_pika.Message(
        encode(message),
        content_type="application/json",
        message_id=new_id(),
        type=message.kind,
        delivery_mode=delivery_mode,
    )


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """What the client raises leaves the broker as QueueFull or BrokerUnavailable, after 5 s at the latest."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            yield
    except PublishError as error:
        raise BrokerUnavailable("RabbitMQ returned the message: no queue took it") from error
    except DeliveryError as error:
        raise QueueFull from error
    except _CONNECTION_ERRORS as error:
        raise BrokerUnavailable(f"RabbitMQ does not answer: {type(error).__name__}") from error
