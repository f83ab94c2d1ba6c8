"""`nunmal adapters push|list|diff|activate|canary|rollback|retire`: the versions of adapters, and which are in use.

`activate`, `canary` and `rollback` wait until every worker that serves the base has tested the version, and print what
each of them says. Ending the command does not end the roll-out: the same command waits for it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

from infra.audit import command_actor
from infra.home import opened_store
from shared.adapters.gate import gate_of
from shared.adapters.manifest import adapter_name, name_of
from shared.adapters.rollout import Alias, Ended, Outcome, Rollout
from shared.adapters.versions import differences, use_of
from shared.broker.rabbitmq import RabbitBroker
from shared.errors import BrokerUnavailable, RolloutFailed
from shared.gatekeeping import Gatekeeper
from shared.publishing import Publishing
from shared.rollouts import settle_one
from shared.settings import Settings
from shared.store import Store
from shared.store.adapters import AdapterVersion
from shared.topology import CHAT_JOBS, lane

_LOOK_EVERY_S = 0.5
_REASONS = {
    Outcome.DONE: "another roll-out took its place",
    Outcome.CANCELLED: "it was called off",
    Outcome.WORKER_FAILED: "it failed at the worker",
    Outcome.TIMED_OUT: "nothing more was heard of the worker",
    Outcome.NO_WORKERS: "no worker that serves its base is there",
}


def push(settings: Settings, directory: Path, name: str) -> None:
    """Check a folder and keep it; prints the version's id.

    Raises AdapterRefused, AdapterNameInvalid, AdapterBaseUnknown.
    """
    asyncio.run(_push(settings, directory, adapter_name(name)))


def show(settings: Settings, name: str | None) -> None:
    """Print id, when it was pushed (UTC), use, method, rank, MB and base of each version, one a line."""
    asyncio.run(_show(settings, name))


def diff(settings: Settings, one: str, other: str) -> None:
    """Print what two versions differ in, one a line. Raises AdapterVersionUnknown."""
    asyncio.run(_diff(settings, one, other))


def activate(settings: Settings, adapter: str, timeout_s: float, override: str | None = None) -> None:
    """Through the gate, or past it for a reason (`override`).

    Raises GateLost, RolloutFailed, AdapterBusy, AdapterRetired, AdapterVersionUnknown.
    """
    asyncio.run(_activate(settings, adapter, timeout_s, override))


def canary(settings: Settings, adapter: str, share: float, timeout_s: float) -> None:
    """Give it this share of conversations; 0 ends it. Raises as `activate` does."""
    asyncio.run(_canary(settings, adapter, share, timeout_s))


def rollback(settings: Settings, name: str, timeout_s: float) -> None:
    """Call off the roll-out that runs, or go back to the version before. Raises AdapterNothingBefore, RolloutFailed."""
    asyncio.run(_rollback(settings, name, timeout_s))


def retire_version(settings: Settings, adapter: str) -> None:
    """Its files go; prints its id. Raises AdapterInUse, AdapterVersionUnknown."""
    asyncio.run(_retire(settings, adapter))


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Store, Publishing]]:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(settings))
        broker = None
        if settings.broker_url is not None:
            with contextlib.suppress(BrokerUnavailable):  # workers look at the store by themselves
                url = settings.broker_url.get_secret_value()
                broker = await stack.enter_async_context(RabbitBroker(url))
        yield store, Publishing(store, broker)


async def _push(settings: Settings, directory: Path, name: str) -> None:
    async with _opened(settings) as (_, publishing):
        manifest = await publishing.push(name, directory, command_actor())
    sys.stdout.write(f"{manifest.version_id}\n")


async def _show(settings: Settings, name: str | None) -> None:
    async with opened_store(settings) as store:
        aliases = {alias.name: alias for alias in await store.adapters.aliases()}
        for version in await store.adapters.versions(name):
            alias = aliases.get(version.manifest.name, Alias(name=version.manifest.name))
            sys.stdout.write(f"{_row(version, alias)}\n")


async def _diff(settings: Settings, one: str, other: str) -> None:
    async with opened_store(settings) as store:
        manifests = [(await store.adapters.version(each)).manifest for each in (one, other)]
    for each in differences(*manifests):
        sys.stdout.write(f"{each.field}: {each.one or '-'} -> {each.other or '-'}\n")


async def _activate(settings: Settings, adapter: str, timeout_s: float, override: str | None = None) -> None:
    items = gate_of(settings.web.gate)
    async with _opened(settings) as (store, publishing):
        gate = Gatekeeper(store, None, publishing, lane(CHAT_JOBS, settings.model_name), items)
        actor = command_actor()
        try:
            if override is None:
                alias = await gate.activate(adapter, actor, timeout_s)
            else:
                alias = await gate.override(adapter, actor, override, timeout_s)
        finally:
            for row in gate_rows(await store.adapters.alias(name_of(adapter)), adapter):
                sys.stdout.write(f"{row}\n")
        await _finished(settings, store, alias)
    sys.stdout.write(f"{adapter}  active\n")


async def _canary(settings: Settings, adapter: str, share: float, timeout_s: float) -> None:
    async with _opened(settings) as (store, publishing):
        alias = await publishing.canary(adapter, share, command_actor(), timeout_s)
        if share:
            await _finished(settings, store, alias)
    sys.stdout.write(f"{adapter}  canary {100 * share:g}%\n")


async def _rollback(settings: Settings, name: str, timeout_s: float) -> None:
    async with _opened(settings) as (store, publishing):
        alias = await publishing.roll_back(name, command_actor(), timeout_s)
        alias = await _finished(settings, store, alias)
    sys.stdout.write(f"{alias.active or name}  {'active' if alias.active else 'nothing is active'}\n")


async def _retire(settings: Settings, adapter: str) -> None:
    async with _opened(settings) as (_, publishing):
        await publishing.retire(adapter, command_actor())
    sys.stdout.write(f"{adapter}\n")


async def _finished(settings: Settings, store: Store, alias: Alias) -> Alias:
    """After its roll-out, if there is one. Raises RolloutFailed."""
    if (rollout := alias.rollout) is None:
        return alias
    stale_after, said = timedelta(seconds=settings.worker.stale_after_s), set[str]()
    while alias.rollout and alias.rollout.id == rollout.id:
        alias = await settle_one(store, alias.name, stale_after)
        for row in _progress(alias, rollout):
            if row not in said:
                said.add(row)
                sys.stdout.write(f"{row}\n")
                sys.stdout.flush()
        if alias.rollout:
            await asyncio.sleep(_LOOK_EVERY_S)
    ended = alias.last
    if ended is None or ended.rollout.id != rollout.id or ended.outcome is not Outcome.DONE:
        reason = _reason(ended)
        raise RolloutFailed(f"{rollout.adapter} is not in use: {reason}", adapter=rollout.adapter, reason=reason)
    return alias


def gate_rows(alias: Alias, adapter: str) -> Iterator[str]:
    """What the last gate found of this version: group, questions, right before and after, one a line."""
    gate = alias.gate
    if gate is None or gate.adapter != adapter or gate.table is None:
        return
    table = gate.table
    for row in table.rows:
        yield f"{row.group}  {row.questions}  {100 * row.before:.1f}%  {100 * row.after:.1f}%"
    low, high = 100 * table.low, 100 * table.high
    yield f"difference  {100 * table.difference:+.1f}  95% {low:+.1f} to {high:+.1f}  {gate.outcome}"


def _row(version: AdapterVersion, alias: Alias) -> str:
    manifest = version.manifest
    size, base = f"{manifest.size_bytes / 1e6:.1f} MB", manifest.origin.base_digest[:12]
    use, pushed = _use(version.id, alias), f"{version.pushed_at:%F %T}"
    return "  ".join([version.id, pushed, use, manifest.method, f"r={manifest.rank}", size, base])


def _use(adapter: str, alias: Alias) -> str:
    use = use_of(adapter, alias)
    if use == "canary" and alias.canary:
        return f"canary-{100 * alias.canary.share:g}%"
    return "-" if use == "unused" else use.replace("_", "-")


def _progress(alias: Alias, rollout: Rollout) -> Iterator[str]:
    """What each worker said of this roll-out."""
    if alias.rollout and alias.rollout.id == rollout.id:
        rollout = alias.rollout
    elif alias.last and alias.last.rollout.id == rollout.id:
        rollout = alias.last.rollout
    for worker, said in rollout.reports.items():
        reason = said.facts.get("reason", said.code)
        yield "  ".join([rollout.adapter, worker, str(said.state), *([str(reason)] if reason else [])])


def _reason(ended: Ended | None) -> str:
    if ended is None:
        return "another roll-out took its place"
    return " ".join([_REASONS[ended.outcome], *ended.workers])
