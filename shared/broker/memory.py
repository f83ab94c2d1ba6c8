"""The embedded broker: everything in one process, for `nunmal up` and for tests.

It forgets permits when the process ends; recovery (shared/recovery.py) publishes them again from the store.
Messages are encoded and decoded as on the wire, so that what works here works over RabbitMQ.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from shared.broker.base import ControlHandler, DeadLetter, NodeHandler, PermitHandler
from shared.errors import QueueFull
from shared.messages import (
    AnyMessage,
    Control,
    GenerationChanged,
    Permit,
    TokensGenerated,
    decode,
    encode,
)
from shared.topology import NODE_QUEUE_ARGUMENTS

log = logging.getLogger(__name__)

_DEAD_LETTERS_KEPT = 10_000
_MAILBOX_LENGTH = int(NODE_QUEUE_ARGUMENTS["x-max-length"])


class MemoryBroker:
    """Implements shared.broker.base.Broker. `capacity`: most permits one lane may hold waiting (max-length)."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._dead: deque[DeadLetter] = deque(maxlen=_DEAD_LETTERS_KEPT)
        self._lanes: dict[str, _Lane] = defaultdict(lambda: _Lane(self._dead))
        self._workers: dict[str, _Mailbox] = {}
        self._nodes: dict[str, _Mailbox] = {}

    async def __aenter__(self) -> MemoryBroker:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    @property
    def is_connected(self) -> bool:
        return True

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """It never loses its connection."""

    async def declare_lane(self, lane: str) -> None:
        """Lanes come into being on first use."""

    async def publish_permit(self, lane: str, message: Permit) -> None:
        queue = self._lanes[lane]
        if len(queue) >= self._capacity:
            raise QueueFull
        queue.put(_MemoryDelivery(queue, encode(message), redelivered=False))

    @contextlib.asynccontextmanager
    async def consume_permits(self, lane: str, prefetch: int, handler: PermitHandler) -> AsyncIterator[None]:
        async with _running(_hand_out(self._lanes[lane], prefetch, handler)):
            yield

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return list(self._dead)[:limit]

    async def take_dead_letter(self, generation_id: str | None) -> bool:
        taken = [letter for letter in self._dead if letter.generation_id == generation_id]
        for letter in taken:
            self._dead.remove(letter)
        return bool(taken)

    async def publish_control(self, message: Control, worker_id: str | None) -> None:
        for name, mailbox in self._workers.items():
            if worker_id in (None, name):
                mailbox.put(message)

    @contextlib.asynccontextmanager
    async def consume_control(self, worker_id: str, handler: ControlHandler) -> AsyncIterator[None]:
        mailbox = self._workers[worker_id] = _Mailbox()
        try:
            async with _running(mailbox.deliver(handler)):  # type: ignore[arg-type]  # only control is put here
                yield
        finally:
            del self._workers[worker_id]

    async def publish_to_node(self, node_id: str, message: TokensGenerated | GenerationChanged) -> None:
        if mailbox := self._nodes.get(node_id):
            mailbox.put(message)

    @contextlib.asynccontextmanager
    async def consume_node(self, node_id: str, handler: NodeHandler) -> AsyncIterator[None]:
        mailbox = self._nodes[node_id] = _Mailbox()
        try:
            async with _running(mailbox.deliver(handler)):  # type: ignore[arg-type]  # only node events are put here
                yield
        finally:
            del self._nodes[node_id]


class _Lane:
    """Permits in order; one that comes back goes to the front, one that is buried to `dead`."""

    def __init__(self, dead: deque[DeadLetter]) -> None:
        self.dead = dead
        self._waiting: deque[_MemoryDelivery] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: _MemoryDelivery, *, front: bool = False) -> None:
        (self._waiting.appendleft if front else self._waiting.append)(delivery)
        self._arrived.set()

    async def take(self) -> _MemoryDelivery:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


class _MemoryDelivery:
    """Implements shared.broker.base.Delivery."""

    def __init__(self, lane: _Lane, body: bytes, *, redelivered: bool) -> None:
        message = decode(body)
        assert isinstance(message, Permit)
        self.message = message
        self.redelivered = redelivered
        self._lane = lane
        self._body = body
        self._is_settled = False

    async def ack(self) -> None:
        self._is_settled = True

    async def requeue(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._lane.put(_MemoryDelivery(self._lane, self._body, redelivered=True), front=True)

    async def bury(self, generation_id: str | None = None) -> None:
        if not self._is_settled:
            self._is_settled = True
            died_at = datetime.now(UTC).replace(microsecond=0)
            named = generation_id or getattr(self.message, "generation_id", None)
            self._lane.dead.append(DeadLetter(named, "rejected", died_at, 1))


async def _hand_out(lane: _Lane, prefetch: int, handler: PermitHandler) -> None:
    """At most `prefetch` permits at once; when cancelled, the handlers end and their permits go back."""
    free = asyncio.Semaphore(prefetch)

    async def handle(delivery: _MemoryDelivery) -> None:
        try:
            await handler(delivery)
        except Exception:
            log.exception("permit_handler_failed")
        finally:
            free.release()
            await delivery.requeue()

    async with asyncio.TaskGroup() as handlers:
        while True:
            await free.acquire()
            handlers.create_task(handle(await lane.take()))


class _Mailbox:
    """Messages for one receiver, in order; the oldest are dropped when it does not keep up."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=_MAILBOX_LENGTH)
        self._arrived = asyncio.Event()

    def put(self, message: AnyMessage) -> None:
        self._waiting.append(encode(message))
        self._arrived.set()

    async def deliver(self, handler: Callable[[AnyMessage], Awaitable[None]]) -> None:
        while True:
            while self._waiting:
                try:
                    await handler(decode(self._waiting.popleft()))
                except Exception:
                    log.exception("message_handler_failed")
            self._arrived.clear()
            await self._arrived.wait()


@contextlib.asynccontextmanager
async def _running(work: Awaitable[None]) -> AsyncIterator[None]:
    """`work` runs as a task while the block does, and has ended when the block has."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
