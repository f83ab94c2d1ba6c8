"""The one way into a lane, for pages and the API: limits, a fair place, the written question, its permit.

The question is in the store before its permit is published, so nothing that happens after can lose it. This node is
its first listener: the worker's first frame finds it waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from shared import tracing
from shared.broker.base import Broker
from shared.chat import Generation, GenerationState
from shared.errors import BrokerUnavailable, NunmalError, QueueFull, TooManyAnswers
from shared.messages import GenerateReply
from shared.metrics import REFUSALS
from shared.store import Store
from shared.telemetry import fields
from web.chat.hub import Hub
from web.chat.limits import Limits, moved_on_s
from web.chat.line import Line, Lines, rank_of

log = logging.getLogger(__name__)

_UNMEASURED_TOKENS = 256.0  # what an answer is taken to cost before any has ended


SendBack = Callable[[Generation], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Door:
    """How a question comes into the line, and how it leaves it if there is no room after all. Both say if they did."""

    let_in: Callable[[Generation], Awaitable[bool]]
    send_back: SendBack


class Admission:
    def __init__(self, store: Store, broker: Broker, lines: Lines, limits: Limits, hub: Hub) -> None:
        self._store = store
        self._broker = broker
        self._lines = lines
        self._limits = limits
        self._hub = hub
        self._entering: Counter[str] = Counter()  # of each lane: passed the limits, not yet in line
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # of each person who asks now

    async def require_room(self, user_id: str, lane: str) -> None:
        """Before work is done for a question that `admit` would refuse. Raises LimitReached, QueueFull."""
        with _counted():
            await self._limits.require_room(user_id, await self._lines.of(lane), self._entering[lane])

    async def longest_context(self, lane: str) -> int | None:
        """Of the lane's workers, in tokens; None if nobody tells."""
        known = [worker.context_length for worker in (await self._lines.of(lane)).workers if worker.context_length]
        return max(known, default=None)

    async def admit(self, draft: Generation, length: int, provided: Awaitable[None] | None = None) -> Generation | None:
        """Write the question, with its place in the lane; None if one with this id was written before. Then place it
        where it is to be found, and send its permit.

        `length`: of the prompt, in characters or tokens; the cost is corrected when the answer has ended. `draft` needs
        no tag, cost, forecast or listeners. `provided`: raises if it must not be asked now.
        Raises LimitReached, QueueFull, and what `provided` raises: nothing was kept.
        """
        return await self._in_turn(draft, length, _Door(self._store.generations.add, self.withdraw), provided)

    async def release(self, held: Generation) -> Generation | None:
        """Let a held question into the lane, as it was, and send its permit; None if somebody else did.

        Raises LimitReached, QueueFull: it is held still.
        """
        generations = self._store.generations
        door = _Door(generations.release, lambda turn: generations.hold(turn.id))
        turn = await self._in_turn(held, len(held.question), door)
        if turn is not None:
            await self.send_permit(turn, door.send_back)
        return turn

    async def _in_turn(
        self, draft: Generation, length: int, door: _Door, provided: Awaitable[None] | None = None
    ) -> Generation | None:
        async with self._turns.setdefault(draft.user_id, asyncio.Lock()):  # so that each is seen by the next
            with _counted(), tracing.span("admit", draft.id):
                line = await self._lines.of(draft.lane)
                self._entering[draft.lane] += 1
                try:
                    return await self._enter(draft, length, door, provided, line)
                finally:
                    self._entering[draft.lane] -= 1

    async def _enter(
        self, draft: Generation, length: int, door: _Door, provided: Awaitable[None] | None, line: Line
    ) -> Generation | None:
        others = self._entering[draft.lane] - 1
        cost = length + min(line.answer_tokens or _UNMEASURED_TOKENS, draft.sampling.max_new_tokens or float("inf"))
        tag, refusal = await asyncio.gather(
            self._store.fairness.start_tag(draft.lane, draft.user_id, cost, line.virtual_time),
            _error_of(self._limits.require_room(draft.user_id, line, others), provided),
        )
        is_new = is_kept = False
        try:
            if refusal:
                raise refusal
            turn = replace(draft, state=GenerationState.QUEUED, tag=tag, cost=cost, listeners=(self._hub.node_id,))
            place = line.place(rank_of(turn))
            turn = replace(turn, forecast_s=place.wait_s)
            is_new = is_kept = await door.let_in(turn)
            if is_new:
                is_kept = await self._is_within_limit(turn, line, door)
        finally:
            if not is_kept:
                await self._store.fairness.correct(draft.lane, draft.user_id, -cost)
        if not is_new:
            return None
        self._lines.join(turn)
        self._hub.expect(turn, place)
        return turn

    async def _is_within_limit(self, turn: Generation, line: Line, door: _Door) -> bool:
        """Other nodes may have let this person in at the same time. All who find too many go: the limit holds whatever
        their order is, and who comes again finds room. Raises TooManyAnswers after removing it."""
        try:
            await self._limits.require_no_more(turn.user_id, line)
        except TooManyAnswers:
            if await door.send_back(turn):
                raise
            await self._store.generations.request_cancel(turn.id, turn.user_id)  # a worker was quicker
        return True

    async def send_permit(self, turn: Generation, send_back: SendBack | None = None) -> None:
        """Let a worker claim it. Raises QueueFull after removing it, or sending it back, unless a worker that was free
        has it already."""
        try:
            with tracing.span("send permit", turn.id, "producer", messaging__system="rabbitmq"):
                await self._broker.publish_permit(turn.lane, GenerateReply(generation_id=turn.id))
        except BrokerUnavailable:
            log.warning("permit_waits_for_broker", extra=fields(generation_id=turn.id))
        except QueueFull as error:
            if await (send_back or self.withdraw)(turn):
                with _counted():
                    raise QueueFull(retry_after_s=moved_on_s(await self._lines.of(turn.lane))) from error

    async def withdraw(self, turn: Generation) -> bool:
        """Remove it unless a worker has claimed it; True if it is gone."""
        await self._store.generations.remove(turn.id)
        return await self._store.generations.get(turn.id) is None


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except NunmalError as error:
        REFUSALS.labels(error.code).inc()
        raise


async def _error_of(*conditions: Awaitable[None] | None) -> BaseException | None:
    """The first that was not met."""
    outcomes = await asyncio.gather(*filter(None, conditions), return_exceptions=True)
    return next((outcome for outcome in outcomes if outcome is not None), None)
