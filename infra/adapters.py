"""`nunmal adapters push|list|diff|activate|canary|rollback|retire`: the versions of adapters, and which are in use.

`activate`, `canary` and `rollback` wait until every worker that serves the base has tested the version, and print what
each of them says. Ending the command does not end the roll-out: the same command waits for it again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from infra.audit import command_actor
from infra.home import opened_store
from shared.adapters.check import check_folder, origin_of
from shared.adapters.folder import AdapterFolder
from shared.adapters.manifest import AdapterManifest, adapter_name, name_of
from shared.adapters.refusals import line
from shared.adapters.rollout import Alias, Ended, Outcome, Rollout, begin, end_canary, retire, revive, roll_back
from shared.audit import AuditAction
from shared.errors import AdapterBaseUnknown, RolloutFailed
from shared.ids import new_id
from shared.rollouts import settle_one
from shared.settings import Settings
from shared.store import Store
from shared.store.adapters import AdapterVersion
from shared.store.times import now

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


def activate(settings: Settings, adapter: str, timeout_s: float) -> None:
    """Raises RolloutFailed, AdapterBusy, AdapterRetired, AdapterVersionUnknown."""
    asyncio.run(_activate(settings, adapter, timeout_s))


def canary(settings: Settings, adapter: str, share: float, timeout_s: float) -> None:
    """Give it this share of conversations; 0 ends it. Raises as `activate` does."""
    asyncio.run(_canary(settings, adapter, share, timeout_s))


def rollback(settings: Settings, name: str, timeout_s: float) -> None:
    """Call off the roll-out that runs, or go back to the version before. Raises AdapterNothingBefore, RolloutFailed."""
    asyncio.run(_rollback(settings, name, timeout_s))


def retire_version(settings: Settings, adapter: str) -> None:
    """Its files go; prints its id. Raises AdapterInUse, AdapterVersionUnknown."""
    asyncio.run(_retire(settings, adapter))


async def _push(settings: Settings, directory: Path, name: str) -> None:
    origin = await asyncio.to_thread(origin_of, name, directory)
    async with opened_store(settings) as store:
        base = await store.adapters.base(origin.base_digest)
        if base is None:
            reason = f"no worker has served the base {origin.base_digest} that {name} was trained on; start one first"
            raise AdapterBaseUnknown(reason, adapter=name, base=origin.base_digest)
        with AdapterFolder(name, directory) as folder:
            manifest = await asyncio.to_thread(check_folder, folder, base)
            await _record(store, AuditAction.ADAPTER_PUSHED, manifest.version_id, digest=manifest.digest)
            await store.adapters.add(manifest, folder, command_actor())
        await store.adapters.change(name, lambda alias: revive(alias, manifest.version_id))
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
    for difference in differences(*manifests):
        sys.stdout.write(f"{difference}\n")


async def _activate(settings: Settings, adapter: str, timeout_s: float) -> None:
    async with opened_store(settings) as store:
        await store.adapters.version(adapter)
        began, rollout_id = now(), new_id()

        def change(alias: Alias) -> Alias:
            return begin(alias, adapter, rollout_id, began, timeout_s)

        alias = await _change(store, adapter, change, AuditAction.ADAPTER_ACTIVATED)
        await _finished(settings, store, alias)
    sys.stdout.write(f"{adapter}  active\n")


async def _canary(settings: Settings, adapter: str, share: float, timeout_s: float) -> None:
    async with opened_store(settings) as store:
        await store.adapters.version(adapter)
        began, rollout_id = now(), new_id()

        def change(alias: Alias) -> Alias:
            if share == 0:
                return end_canary(alias, adapter, began)
            return begin(alias, adapter, rollout_id, began, timeout_s, share=share)

        alias = await _change(store, adapter, change, AuditAction.ADAPTER_CANARY, percent=f"{100 * share:g}")
        if share:
            await _finished(settings, store, alias)
    sys.stdout.write(f"{adapter}  canary {100 * share:g}%\n")


async def _rollback(settings: Settings, name: str, timeout_s: float) -> None:
    async with opened_store(settings) as store:
        began, rollout_id = now(), new_id()

        def change(alias: Alias) -> Alias:
            return roll_back(alias, rollout_id, began, timeout_s)

        alias = await _change(store, name, change, AuditAction.ADAPTER_ROLLED_BACK)
        alias = await _finished(settings, store, alias)
    sys.stdout.write(f"{alias.active or name}  {'active' if alias.active else 'nothing is active'}\n")


async def _retire(settings: Settings, adapter: str) -> None:
    async with opened_store(settings) as store:
        await store.adapters.version(adapter)
        await _change(store, adapter, lambda alias: retire(alias, adapter), AuditAction.ADAPTER_RETIRED)
        await store.adapters.drop_files(adapter)
    sys.stdout.write(f"{adapter}\n")


async def _change(
    store: Store, target: str, change: Callable[[Alias], Alias], action: AuditAction, **facts: str | int
) -> Alias:
    """Of a name, or a version's name. Raises what the change raises: that is not recorded."""
    name = name_of(target) if "@" in target else target
    change(await store.adapters.alias(name))
    await _record(store, action, target, **facts)
    return await store.adapters.change(name, change)


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


async def _record(store: Store, action: AuditAction, target: str, **facts: str | int) -> None:
    """Before it is done: what nobody can account for is worse than a record of what was not done."""
    await store.audit.append(command_actor(), action, target, **facts)


def differences(one: AdapterManifest, other: AdapterManifest) -> Iterator[str]:
    """What a person compares: a line for each thing that is not the same."""
    before, after = _compared(one), _compared(other)
    for what in dict.fromkeys([*before, *after]):
        if before.get(what) != after.get(what):
            yield f"{what}: {before.get(what, '-')} -> {after.get(what, '-')}"


def _compared(manifest: AdapterManifest) -> dict[str, str]:
    origin = manifest.origin
    made = {"created_at", "data_digest", "commit", "seed"}
    facts: dict[str, object] = {
        "name": manifest.name,
        "base": origin.base_digest,
        "numerics": origin.numerics,
        "method": manifest.method,
        "rank": manifest.rank,
        "alpha": manifest.alpha,
        "targets": " ".join(manifest.targets),
        **{field: value for field, value in origin.model_dump(mode="json", include=made).items() if value is not None},
        **{f"recipe.{key}": value for key, value in origin.recipe.items()},
        **{f"metrics.{key}": value for key, value in origin.metrics.items()},
        **{file.name: file.sha256 for file in manifest.files},
        **{tensor.name: f"{tensor.dtype} {tensor.shape}" for tensor in manifest.tensors},
    }
    return {line(name): line(str(value)) for name, value in facts.items()}


def _row(version: AdapterVersion, alias: Alias) -> str:
    manifest = version.manifest
    size, base = f"{manifest.size_bytes / 1e6:.1f} MB", manifest.origin.base_digest[:12]
    use, pushed = _use(version.id, alias), f"{version.pushed_at:%F %T}"
    return "  ".join([version.id, pushed, use, manifest.method, f"r={manifest.rank}", size, base])


def _use(adapter: str, alias: Alias) -> str:
    if alias.rollout and alias.rollout.adapter == adapter:
        return "rolling-out"
    if alias.active == adapter:
        return "active"
    if alias.canary and alias.canary.adapter == adapter:
        return f"canary-{100 * alias.canary.share:g}%"
    if adapter in alias.retired:
        return "retired"
    return "previous" if adapter in alias.previous else "-"


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
