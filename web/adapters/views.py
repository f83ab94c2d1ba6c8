"""Adapters as the researcher's page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.adapters.rollout import Alias, GateRun, Report, Rollout
from shared.adapters.versions import Use, use_of
from shared.errors import Fact
from shared.store import Store
from shared.store.adapters import AdapterVersion
from shared.store.times import now
from shared.store.workers import WorkerStatus

STATE_WORDS = {
    "waiting": "adapters.state_waiting",
    "fetching": "adapters.state_fetching",
    "verified": "adapters.state_verified",
    "loaded": "adapters.state_loaded",
    "tested": "adapters.state_tested",
    "failed": "adapters.state_failed",
}
OUTCOME_WORDS = {
    "done": "adapters.outcome_done",
    "cancelled": "adapters.outcome_cancelled",
    "worker_failed": "adapters.outcome_worker_failed",
    "timed_out": "adapters.outcome_timed_out",
    "no_workers": "adapters.outcome_no_workers",
}
USE_WORDS = {
    "active": "adapters.use_active",
    "canary": "adapters.use_canary",
    "rolling_out": "adapters.use_rolling_out",
    "previous": "adapters.use_previous",
    "retired": "adapters.use_retired",
}
GATE_WORDS = {
    "running": "adapters.gate_running",
    "passed": "adapters.gate_passed",
    "lost": "adapters.gate_lost",
    "failed": "adapters.gate_failed",
    "overridden": "adapters.gate_overridden",
}
_SHORT = 8


@dataclass(frozen=True, slots=True)
class WorkerView:
    """How far one worker is with a roll-out. `state`: of its report, or `waiting`."""

    name: str
    state: str
    code: str = ""
    facts: Mapping[str, Fact] | None = None


@dataclass(frozen=True, slots=True)
class VersionView:
    id: str
    use: Use
    percent: float | None  # of a canary
    method: str
    rank: int
    size_mb: float
    metrics: Mapping[str, float]
    pushed_at: datetime
    has_files: bool
    loaded_by: int  # workers
    served_by: int  # workers that could


@dataclass(frozen=True, slots=True)
class AdapterView:
    name: str
    active: str | None
    can_go_back: bool
    rolling: str | None  # the version
    outcome: str | None  # of the last roll-out, while none runs
    last: str | None  # its version
    workers: list[WorkerView]  # of the roll-out that runs, or else the last one
    versions: list[VersionView]  # the last pushed first
    gate: GateRun | None  # the last one that was held

    @property
    def goes_on(self) -> bool:
        """The page should be looked at again soon."""
        return self.rolling is not None or (self.gate is not None and self.gate.is_held(now()))


async def adapter_views(store: Store, stale_after: timedelta) -> list[AdapterView]:
    """By name. Raises StoreUnavailable."""
    aliases, versions, workers = await asyncio.gather(
        store.adapters.aliases(), store.adapters.versions(), store.workers.alive(stale_after)
    )
    known = {alias.name: alias for alias in aliases}
    by_name: dict[str, list[AdapterVersion]] = {}
    for version in versions:
        by_name.setdefault(version.manifest.name, []).append(version)
    return [_view(known.get(name, Alias(name=name)), by_name[name], workers) for name in sorted(by_name)]


def _view(alias: Alias, versions: list[AdapterVersion], workers: list[WorkerStatus]) -> AdapterView:
    rollout, last = alias.rollout, alias.last
    shown = rollout or (last.rollout if last else None)
    return AdapterView(
        alias.name,
        alias.active,
        bool(rollout or alias.previous),
        rollout.adapter if rollout else None,
        last.outcome.value if last and not rollout else None,
        last.rollout.adapter if last and not rollout else None,
        _workers(shown, versions, workers, is_running=rollout is not None) if shown else [],
        [_version(version, alias, workers) for version in reversed(versions)],
        alias.gate,
    )


def _workers(
    rollout: Rollout, versions: list[AdapterVersion], workers: list[WorkerStatus], *, is_running: bool
) -> list[WorkerView]:
    """Those that reported, and while it runs those it waits for."""
    base = next((each.manifest.origin.base_digest for each in versions if each.id == rollout.adapter), "")
    awaited = [worker.id for worker in workers if is_running and worker.model_digest == base]
    return [_worker(name, rollout.reports.get(name)) for name in dict.fromkeys([*rollout.reports, *awaited])]


def _worker(name: str, said: Report | None) -> WorkerView:
    short = name.rpartition("-")[2][-_SHORT:]
    return WorkerView(short, said.state.value, said.code, said.facts) if said else WorkerView(short, "waiting")


def _version(version: AdapterVersion, alias: Alias, workers: list[WorkerStatus]) -> VersionView:
    manifest = version.manifest
    serving = [worker for worker in workers if worker.model_digest == manifest.origin.base_digest]
    use = use_of(version.id, alias)
    return VersionView(
        version.id,
        use,
        100 * alias.canary.share if alias.canary and use == "canary" else None,
        manifest.method,
        manifest.rank,
        manifest.size_bytes / 1e6,
        manifest.origin.metrics,
        version.pushed_at,
        version.has_files,
        sum(version.id in worker.adapters for worker in serving),
        len(serving),
    )
