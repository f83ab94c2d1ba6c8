"""The broker's promise, kept alike by `rabbitmq` and `memory` (tests/contract/test_broker.py).

Three kinds of traffic:

- permits   durable, confirmed, one consumer each, redelivered until acknowledged or buried
- control   to all workers or one; lost when nobody listens (the store holds the truth)
- node      to one web node; lost when it is away; old ones are dropped when it does not keep up
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.messages import Control, GenerationChanged, Permit, TokensGenerated


@dataclass(frozen=True)
class DeadLetter:
    """A permit that was taken out of its lane for an operator to look at."""

    generation_id: str | None  # None: the message cannot be read, or is about no generation
    reason: str  # as RabbitMQ names it: rejected (buried or unreadable), delivery_limit, ...
    died_at: datetime  # UTC, whole seconds
    times: int  # how often it died


class Delivery(Protocol):
    """A permit in a worker's hands. It comes back to the queue if none of ack, requeue and bury is called; after
    one of them the others do nothing. None does anything if the connection it came by is gone."""

    @property
    def message(self) -> Permit: ...

    @property
    def redelivered(self) -> bool: ...

    async def ack(self) -> None:
        """The effect is in the store: forget the permit."""
        ...

    async def requeue(self) -> None:
        """Give the permit back for another worker."""
        ...

    async def bury(self, generation_id: str | None = None) -> None:
        """Move the permit to the dead letters. It may have claimed another generation than it names: `generation_id`
        says which one failed, and the dead letter names that one."""
        ...


PermitHandler = Callable[[Delivery], Awaitable[None]]
ControlHandler = Callable[[Control], Awaitable[None]]
NodeHandler = Callable[[TokensGenerated | GenerationChanged], Awaitable[None]]


class Broker(Protocol):
    """Opened and closed as an async context manager.

    Handlers run one task per permit, and one after another in order for control and node messages. A handler's
    exception is logged; for a permit it also puts the permit back.
    """

    async def __aenter__(self) -> Broker: ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    @property
    def is_connected(self) -> bool:
        """True while messages can be sent and received."""
        ...

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop after a lost connection is back: node messages may have been missed."""
        ...

    async def declare_lane(self, lane: str) -> None:
        """Make sure the lane's queue exists, so that permits are kept before any worker came."""
        ...

    async def publish_permit(self, lane: str, message: Permit) -> None:
        """Return once the broker has the permit safely.

        Raises: QueueFull: the lane's queue refused it. BrokerUnavailable: no connection, or no answer in 5 s.
        """
        ...

    def consume_permits(self, lane: str, prefetch: int, handler: PermitHandler) -> AbstractAsyncContextManager[None]:
        """While open, at most `prefetch` permits are in the handler's hands at once. Closing it stops new ones
        and waits for none: unfinished handlers are cancelled and their permits go back."""
        ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """At most `limit`, the oldest first; all stay where they are. Raises BrokerUnavailable.

        What another look is holding at this moment is missing from the list.
        """
        ...

    async def take_dead_letter(self, generation_id: str | None) -> bool:
        """Remove the dead letters of this generation (None: the unreadable ones); False if there were none.

        Raises BrokerUnavailable.
        """
        ...

    async def publish_control(self, message: Control, worker_id: str | None) -> None:
        """To one worker, or to all when `worker_id` is None. Raises BrokerUnavailable."""
        ...

    def consume_control(self, worker_id: str, handler: ControlHandler) -> AbstractAsyncContextManager[None]: ...

    async def publish_to_node(self, node_id: str, message: TokensGenerated | GenerationChanged) -> None:
        """Raises BrokerUnavailable; a node that is not there is no error."""
        ...

    def consume_node(self, node_id: str, handler: NodeHandler) -> AbstractAsyncContextManager[None]: ...
