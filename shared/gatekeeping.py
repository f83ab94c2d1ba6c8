"""The gate before a version is used: it and what is in use answer the same questions, as a bulk job, and whoever loses
beyond chance stays out.

The questions are ordinary generations of the lane, so they wait behind people's, and a version that no worker has yet
is loaded because they name it. How far it is stands in the alias (`Alias.gate`); who runs it renews that, so one whose
process died holds nobody up for long.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.adapters.gate import GateItem, GateTable, table_of
from shared.adapters.manifest import name_of
from shared.adapters.rollout import Alias, GateOutcome, GateRun, begin, begin_gate, gate_goes_on
from shared.audit import AuditAction
from shared.broker.base import Broker
from shared.chat import Generation, GenerationState, JobClass, Message, Origin, Role, SamplingParams
from shared.errors import (
    BrokerUnavailable,
    GateLost,
    NunmalError,
    QueueFull,
    ReasonInvalid,
    RolloutFailed,
    StoreUnavailable,
)
from shared.ids import new_id
from shared.messages import AdapterPublished, GenerateReply
from shared.publishing import DEFAULT_TIMEOUT_S, Publishing
from shared.store import Store
from shared.store.times import now
from shared.telemetry import fields

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_MOST_TOKENS = 64
_TOKENS = 96.0  # of a question and its answer, about
_LONGEST_S = 1800.0
LEAST_REASON_CHARACTERS = 10
MOST_REASON_CHARACTERS = 500


class Gatekeeper:
    """`items`: the gate set; none of them: the gate stands open. `lane`: where questions are queued."""

    def __init__(
        self, store: Store, broker: Broker | None, publishing: Publishing, lane: str, items: Sequence[GateItem]
    ) -> None:
        self._store = store
        self._broker = broker
        self._publishing = publishing
        self._lane = lane
        self._items = items
        self._running: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Gates that run end; whoever asked asks again."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def begin(self, version: str, actor: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Alias:
        """Ask for a version to be used: the gate is held by this process, and what passes is rolled out. Returns soon.

        Raises AdapterBusy, AdapterRetired, AdapterVersionUnknown.
        """
        if not self._items:
            return await self._publishing.activate(version, actor, timeout_s)
        alias, run = await self._opened(version, actor)
        if run is not None:
            task = asyncio.create_task(self._pass(run, alias.active, actor, timeout_s))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return alias

    async def activate(self, version: str, actor: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Alias:
        """The same, for whoever waits until the roll-out has begun. `timeout_s`: of the gate, and then of the roll-out.

        Raises GateLost and RolloutFailed, too.
        """
        if not self._items:
            return await self._publishing.activate(version, actor, timeout_s)
        alias, run = await self._opened(version, actor)
        if run is None:
            return alias
        await self._judge(run, alias.active, timeout_s)
        return await self._publishing.activate(version, actor, timeout_s)

    async def override(self, version: str, actor: str, reason: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Alias:
        """Roll it out whatever the gate says. `actor` is an operator, which the caller has checked; the reason is kept.

        Raises ReasonInvalid, and what Publishing.activate raises.
        """
        reason = reason.strip()
        if not LEAST_REASON_CHARACTERS <= len(reason) <= MOST_REASON_CHARACTERS:
            raise ReasonInvalid(least=LEAST_REASON_CHARACTERS, most=MOST_REASON_CHARACTERS)
        await self._store.adapters.version(version)
        # The reason is people's words and stays out of the chain; its hash shows whether it was changed later.
        told = hashlib.sha256(reason.encode()).hexdigest()
        await self._store.audit.append(actor, AuditAction.GATE_OVERRIDDEN, version, reason_sha256=told)
        at = now()
        run = GateRun(id=new_id(), adapter=version, by=actor, began_at=at, beat_at=at, of=0)
        run = run.model_copy(update={"outcome": GateOutcome.OVERRIDDEN, "reason": reason})
        await self._store.adapters.change(name_of(version), lambda alias: begin_gate(alias, run, at))
        return await self._publishing.activate(version, actor, timeout_s)

    async def _opened(self, version: str, actor: str) -> tuple[Alias, GateRun | None]:
        """None: it is in use or being rolled out already. Raises what a roll-out of it would be refused with."""
        await self._store.adapters.version(version)
        at = now()
        before = await self._store.adapters.alias(name_of(version))
        if begin(before, version, new_id(), at, 1.0) == before:
            return before, None
        run = GateRun(id=new_id(), adapter=version, by=actor, began_at=at, beat_at=at, of=2 * len(self._items))
        alias = await self._store.adapters.change(before.name, lambda alias: begin_gate(alias, run, at))
        return alias, run

    async def _pass(self, run: GateRun, against: str | None, actor: str, timeout_s: float) -> None:
        """What is raised here is in the alias."""
        try:
            await self._judge(run, against, _LONGEST_S)
            await self._publishing.activate(run.adapter, actor, timeout_s)
        except NunmalError as error:
            log.info("gate_ended", extra=fields(adapter=run.adapter, reason=error.code))

    async def _judge(self, run: GateRun, against: str | None, within_s: float) -> GateTable:
        """Raises GateLost, RolloutFailed if there is no time left, and StoreUnavailable."""
        try:
            async with asyncio.timeout(within_s):
                table = await self._compared(run, against)
        except TimeoutError as error:
            await self._write(run, GateOutcome.FAILED)
            reason = "its gate's questions were not answered in time"
            raise RolloutFailed(f"{run.adapter} is not in use: {reason}", adapter=run.adapter, reason=reason) from error
        except BaseException:
            await asyncio.shield(self._write(run, GateOutcome.FAILED))
            raise
        await self._write(run, GateOutcome.LOST if table.is_lost else GateOutcome.PASSED, table)
        if table.is_lost:
            raise GateLost(
                f"{run.adapter} answers worse than {against or 'the model alone'}: "
                f"{100 * table.difference:+.1f} points, between {100 * table.low:+.1f} and {100 * table.high:+.1f}",
                adapter=run.adapter,
                difference=round(100 * table.difference, 1),
                low=round(100 * table.low, 1),
                high=round(100 * table.high, 1),
            )
        return table

    async def _compared(self, run: GateRun, against: str | None) -> GateTable:
        asked = [[await self._ask(item, adapter, run) for item in self._items] for adapter in (against, run.adapter)]
        await self._announce(run.adapter)
        try:
            found = await self._ended(run, [turn.id for turns in asked for turn in turns])
        except BaseException:
            for turn in (turn for turns in asked for turn in turns):
                await self._store.generations.request_cancel(turn.id, turn.user_id)
            raise
        before, after = (
            [
                found[turn.id].state is GenerationState.DONE and item.is_right(found[turn.id].answer)
                for item, turn in zip(self._items, generations, strict=True)
            ]
            for generations in asked
        )
        return table_of(self._items, before, after, against)

    async def _ended(self, run: GateRun, ids: list[str]) -> dict[str, Generation]:
        while True:
            found = await self._store.generations.get_many(ids)
            done = sum(turn.state.is_final for turn in found.values())
            await self._write(run, GateOutcome.RUNNING, done=done)
            if done == len(ids):
                return found
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _ask(self, item: GateItem, adapter: str | None, run: GateRun) -> Generation:
        virtual_time = await self._store.fairness.virtual_time(self._lane)
        generation_id = new_id()
        asked = Generation(
            id=generation_id,
            conversation_id=generation_id,
            user_id=f"gate {run.id}",
            parent_id=None,
            question="",
            lane=self._lane,
            state=GenerationState.QUEUED,
            seed=0,
            tag=await self._store.fairness.start_tag(self._lane, f"gate {run.id}", _TOKENS, virtual_time),
            created_at=datetime.now(UTC),
            job_class=JobClass.BULK,
            origin=Origin.JOB,
            prompt=(Message(Role.USER, item.prompt),),
            cost=_TOKENS,
            sampling=SamplingParams(temperature=0.0, max_new_tokens=_MOST_TOKENS, json_schema=item.answer_schema),
            adapter=adapter,
        )
        await self._store.generations.add(asked)
        if self._broker is not None:
            try:
                await self._broker.publish_permit(self._lane, GenerateReply(generation_id=asked.id))
            except (BrokerUnavailable, QueueFull):
                log.info("permit_not_sent")  # recovery sends it later
        return asked

    async def _announce(self, version: str) -> None:
        """Workers look for what these questions name."""
        if self._broker is not None:
            try:
                await self._broker.publish_control(AdapterPublished(adapter=name_of(version)), None)
            except BrokerUnavailable:
                log.info("adapter_not_announced")

    async def _write(
        self, run: GateRun, outcome: GateOutcome, table: GateTable | None = None, done: int | None = None
    ) -> None:
        """How far it is. A store that is away is told the next time, but for the end."""
        at = now()

        def change(alias: Alias) -> Alias:
            return gate_goes_on(alias, run.id, outcome, at, table, done)

        try:
            await self._store.adapters.change(name_of(run.adapter), change)
        except StoreUnavailable:
            if outcome is not GateOutcome.RUNNING:
                raise
