"""How a version comes into use: an adapter's alias, and the rules of its two-phase roll-out. Pure: no I/O, no clock.

    begin ──▶ every worker that serves the base: fetching ▶ verified ▶ loaded ▶ tested, or failed with a reason
          ──▶ settle: all of them tested, and only then the alias moves

Until it moves, nobody is answered by the new version; a roll-out that fails leaves the alias as it was. Everything
about one name is one value (`Alias`), so that one atomic write changes it (shared/store/adapters.py).

Who counts: the workers that live now and serve the base. One that joins while a roll-out runs must test it too, before
the alias moves; one that leaves is not waited for; what it reported does not count. One that fails ends the roll-out,
as does the deadline. Going back is different, because staying is worse: there a worker that fails, or says nothing
until the deadline, holds up nobody as long as another has tested it (it takes no such job until it has).

Not here: what a worker does to fetch and test (workers/adapters.py), and who calls `settle` (shared/rollouts.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.adapters.gate import GateTable
from shared.errors import (
    AdapterBusy,
    AdapterInUse,
    AdapterNothingBefore,
    AdapterRetired,
    CanaryShareInvalid,
    Fact,
)

_MOST_PREVIOUS = 20
_GATE_LOST_S = 30.0  # since its process was last heard of


class WorkerState(StrEnum):
    """How far one worker is, in this order; it never goes back."""

    FETCHING = "fetching"
    VERIFIED = "verified"
    LOADED = "loaded"
    TESTED = "tested"  # it has answered a question with it
    FAILED = "failed"


class Intent(StrEnum):
    ACTIVATE = "activate"
    CANARY = "canary"
    ROLLBACK = "rollback"


class Outcome(StrEnum):
    DONE = "done"
    CANCELLED = "cancelled"
    WORKER_FAILED = "worker_failed"
    TIMED_OUT = "timed_out"  # some said nothing more
    NO_WORKERS = "no_workers"  # none that serves its base was there


_ORDER = list(WorkerState)
_END = frozenset({WorkerState.TESTED, WorkerState.FAILED})


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Report(_Value):
    """What one worker said last. `code` and `facts`: of the error, if it failed (its sentence: web/words)."""

    state: WorkerState
    at: float  # seconds since the epoch, as all times here
    code: str = ""
    facts: dict[str, Fact] = {}


class Rollout(_Value):
    id: str
    adapter: str  # `name@12hex`
    intent: Intent
    share: float = 0.0  # of a canary
    began_at: float
    deadline_at: float
    reports: dict[str, Report] = {}  # by worker


class Ended(_Value):
    """A roll-out that is over. `workers`: those that were the reason."""

    rollout: Rollout
    outcome: Outcome
    at: float
    workers: tuple[str, ...] = ()


class GateOutcome(StrEnum):
    RUNNING = "running"
    PASSED = "passed"
    LOST = "lost"
    FAILED = "failed"  # it could not be held; whoever asked asks again
    OVERRIDDEN = "overridden"  # by an operator, for a reason


class GateRun(_Value):
    """Held before a version is rolled out (shared/gatekeeping.py), by a process that renews `beat_at`."""

    id: str
    adapter: str
    by: str
    began_at: float
    beat_at: float
    of: int  # answers
    done: int = 0
    outcome: GateOutcome = GateOutcome.RUNNING
    table: GateTable | None = None
    reason: str = ""  # of whoever overrode it

    def is_held(self, now: float) -> bool:
        return self.outcome is GateOutcome.RUNNING and now < self.beat_at + _GATE_LOST_S


class Canary(_Value):
    adapter: str
    share: float = Field(gt=0, le=1)  # of conversations


class Alias(_Value):
    """Everything about one name that changes."""

    name: str
    active: str | None = None
    previous: tuple[str, ...] = ()  # what was active before, the last first
    canary: Canary | None = None
    retired: tuple[str, ...] = ()
    rollout: Rollout | None = None
    last: Ended | None = None
    gate: GateRun | None = None  # the last one

    def wanted(self) -> tuple[str, ...]:
        """What a worker that serves the base should have loaded: the one to go back to as well."""
        canary = self.canary.adapter if self.canary else None
        rolling = self.rollout.adapter if self.rollout else None
        versions = (rolling, self.active, canary, *self.previous[:1])
        return tuple(dict.fromkeys(version for version in versions if version is not None))

    def choose(self, key: str) -> str | None:
        """The version for this conversation, always the same while the share does; None: there is none.

        A share that grows takes more conversations along and lets none go.
        """
        digest = hashlib.sha256(f"{self.name} {key}".encode()).digest()
        place = int.from_bytes(digest[:6], "big") / (1 << 48)
        return self.canary.adapter if self.canary and place < self.canary.share else self.active


def begin(
    alias: Alias, adapter: str, rollout_id: str, now: float, timeout_s: float, *, share: float | None = None
) -> Alias:
    """Roll this version out, to be active or, with a `share`, a canary.

    The same is under way or done already: unchanged. Raises AdapterBusy, AdapterRetired, CanaryShareInvalid.
    """
    if share is not None and not 0 < share <= 1:
        raise CanaryShareInvalid("a canary's share is above 0% and at most 100%")
    intent = Intent.ACTIVATE if share is None else Intent.CANARY
    if adapter in alias.retired:
        raise AdapterRetired(f"{adapter} was retired; push it again to use it", adapter=adapter)
    if running := alias.rollout:
        if (running.adapter, running.intent, running.share) == (adapter, intent, share or 0.0):
            return alias
        raise AdapterBusy(f"{running.adapter} is being rolled out", adapter=running.adapter)
    if share is None and alias.active == adapter:
        return alias
    if share is not None and alias.canary and alias.canary.adapter == adapter:  # every worker has it
        return _with(alias, canary=Canary(adapter=adapter, share=share))
    return _begun(alias, adapter, intent, rollout_id, now, timeout_s, share or 0.0)


def begin_gate(alias: Alias, run: GateRun, now: float) -> Alias:
    """Hold a gate before this version is rolled out. Raises AdapterBusy."""
    if alias.rollout is not None:
        raise AdapterBusy(f"{alias.rollout.adapter} is being rolled out", adapter=alias.rollout.adapter)
    if alias.gate is not None and alias.gate.is_held(now):
        raise AdapterBusy(f"{alias.gate.adapter} is at the gate", adapter=alias.gate.adapter)
    return _with(alias, gate=run)


def gate_goes_on(
    alias: Alias, gate_id: str, outcome: GateOutcome, now: float, table: GateTable | None, done: int | None
) -> Alias:
    """Of another gate than the last one: unchanged."""
    gate = alias.gate
    if gate is None or gate.id != gate_id:
        return alias
    count = gate.done if done is None else done
    changes = {"outcome": outcome, "beat_at": now, "table": table, "done": count}
    return _with(alias, gate=gate.model_copy(update=changes))


def roll_back(alias: Alias, rollout_id: str, now: float, timeout_s: float) -> Alias:
    """End the roll-out that runs, or go back to what was active before. Raises AdapterNothingBefore."""
    if alias.rollout:
        if alias.rollout.intent is Intent.ROLLBACK:
            return alias
        return _ended(alias, Outcome.CANCELLED, now)
    if not alias.previous:
        raise AdapterNothingBefore(f"{alias.name} has no earlier version to go back to", adapter=alias.name)
    return _begun(alias, alias.previous[0], Intent.ROLLBACK, rollout_id, now, timeout_s)


def end_canary(alias: Alias, adapter: str, now: float) -> Alias:
    """Its share goes back to the active version at once; if it is being rolled out as a canary, that ends."""
    rollout = alias.rollout
    if rollout and (rollout.adapter, rollout.intent) == (adapter, Intent.CANARY):
        alias = _ended(alias, Outcome.CANCELLED, now)
    return _with(alias, canary=None) if alias.canary and alias.canary.adapter == adapter else alias


def retire(alias: Alias, adapter: str) -> Alias:
    """It is not used again, and its files may go. Raises AdapterInUse."""
    rolling = alias.rollout.adapter if alias.rollout else None
    if adapter in (alias.active, alias.canary and alias.canary.adapter, rolling):
        raise AdapterInUse(f"{adapter} is in use; switch to another version first", adapter=adapter)
    retired = (*_without(alias.retired, adapter), adapter)
    return _with(alias, previous=_without(alias.previous, adapter), retired=retired)


def revive(alias: Alias, adapter: str) -> Alias:
    """A retired one was pushed again."""
    return _with(alias, retired=_without(alias.retired, adapter))


def report(alias: Alias, rollout_id: str, worker_id: str, said: Report) -> Alias:
    """What a worker says of the roll-out that runs. Of another, or a step back: unchanged."""
    rollout = alias.rollout
    if rollout is None or rollout.id != rollout_id:
        return alias
    before = rollout.reports.get(worker_id)
    if before and (before.state in _END or _ORDER.index(said.state) <= _ORDER.index(before.state)):
        return alias
    return _with(alias, rollout=rollout.model_copy(update={"reports": rollout.reports | {worker_id: said}}))


def settle(alias: Alias, serving: Collection[str], now: float) -> Alias:
    """Move the alias, or end the roll-out, if it is time. `serving`: the workers that live and serve the base."""
    rollout = alias.rollout
    if rollout is None:
        return alias
    states = {worker: rollout.reports[worker].state for worker in serving if worker in rollout.reports}
    tested = {worker for worker, state in states.items() if state is WorkerState.TESTED}
    failed = {worker for worker, state in states.items() if state is WorkerState.FAILED}
    silent = set(serving) - tested - failed
    is_over = now >= rollout.deadline_at
    if rollout.intent is Intent.ROLLBACK and tested and (not silent or is_over):
        return _moved(alias, rollout, now)
    if failed and (rollout.intent is not Intent.ROLLBACK or is_over or not silent):
        return _ended(alias, Outcome.WORKER_FAILED, now, failed)
    if tested and not silent:
        return _moved(alias, rollout, now)
    if is_over:
        return _ended(alias, Outcome.TIMED_OUT if silent else Outcome.NO_WORKERS, now, silent)
    return alias


def _begun(
    alias: Alias, adapter: str, intent: Intent, rollout_id: str, now: float, timeout_s: float, share: float = 0.0
) -> Alias:
    rollout = Rollout(
        id=rollout_id, adapter=adapter, intent=intent, share=share, began_at=now, deadline_at=now + timeout_s
    )
    return _with(alias, rollout=rollout)


def _moved(alias: Alias, rollout: Rollout, now: float) -> Alias:
    done = _ended(alias, Outcome.DONE, now)
    if rollout.intent is Intent.CANARY:
        return _with(done, canary=Canary(adapter=rollout.adapter, share=rollout.share))
    if rollout.intent is Intent.ROLLBACK:  # what was left is not gone back to
        return _with(done, active=rollout.adapter, previous=alias.previous[1:])
    older = () if alias.active is None else (alias.active,)
    previous = (*older, *_without(alias.previous, rollout.adapter))[:_MOST_PREVIOUS]
    canary = None if alias.canary and alias.canary.adapter == rollout.adapter else alias.canary
    return _with(done, active=rollout.adapter, previous=previous, canary=canary)


def _ended(alias: Alias, outcome: Outcome, now: float, workers: Collection[str] = ()) -> Alias:
    assert alias.rollout is not None
    last = Ended(rollout=alias.rollout, outcome=outcome, at=now, workers=tuple(sorted(workers)))
    return _with(alias, rollout=None, last=last)


def _without(versions: tuple[str, ...], adapter: str) -> tuple[str, ...]:
    return tuple(version for version in versions if version != adapter)


def _with(alias: Alias, **changes: Any) -> Alias:
    return alias.model_copy(update=changes)
