"""The broker's promise, kept alike by `rabbitmq` and `memory` (tests/contract/test_broker.py).

Three kinds of traffic:

- permits   durable, confirmed, one consumer each, redelivered until acknowledged
- control   to all workers or one; lost when nobody listens (the store holds the truth)
- node      to one web node; lost when it is away; old ones are dropped when it does not keep up
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.messages import CancelGeneration, GenerateReply, GenerationChanged, TokensGenerated, WatchGeneration


class Delivery(Protocol):
    """A permit in a worker's hands. It comes back to the queue if neither ack nor requeue is called."""

    @property
    def message(self) -> GenerateReply: ...

    @property
    def permit_id(self) -> str:
        """The message's id: the same again when it is redelivered."""
        ...

    @property
    def redelivered(self) -> bool: ...

    async def ack(self) -> None:
        """The effect is in the store: forget the permit. Does nothing if the connection it came by is gone."""
        ...

    async def requeue(self) -> None:
        """Give the permit back for another worker. Does nothing if the connection it came by is gone."""
        ...


PermitHandler = Callable[[Delivery], Awaitable[None]]
ControlHandler = Callable[[CancelGeneration | WatchGeneration], Awaitable[None]]
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

    async def publish_permit(self, lane: str, message: GenerateReply) -> None:
        """Return once the broker has the permit safely.

        Raises: QueueFull: the lane's queue refused it. BrokerUnavailable: no connection, or no answer in 5 s.
        """
        ...

    def consume_permits(self, lane: str, prefetch: int, handler: PermitHandler) -> AbstractAsyncContextManager[None]:
        """While open, at most `prefetch` permits are in the handler's hands at once. Closing it stops new ones
        and waits for none: unfinished handlers are cancelled and their permits go back."""
        ...

    async def publish_control(self, message: CancelGeneration | WatchGeneration, worker_id: str | None) -> None:
        """To one worker, or to all when `worker_id` is None. Raises BrokerUnavailable."""
        ...

    def consume_control(self, worker_id: str, handler: ControlHandler) -> AbstractAsyncContextManager[None]: ...

    async def publish_to_node(self, node_id: str, message: TokensGenerated | GenerationChanged) -> None:
        """Raises BrokerUnavailable; a node that is not there is no error."""
        ...

    def consume_node(self, node_id: str, handler: NodeHandler) -> AbstractAsyncContextManager[None]: ...
