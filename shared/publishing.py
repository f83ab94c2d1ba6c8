"""What people do with adapters: push, take into use, go back, retire. Used alike by commands and by the web.

Each change is recorded before it is made, and workers are told after it. What is refused is not recorded. Who may do it
is for the caller to know; waiting for a roll-out to end, too (shared/rollouts.py moves it on).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from shared.adapters.check import check_folder, origin_of
from shared.adapters.folder import AdapterFolder
from shared.adapters.manifest import AdapterManifest, adapter_name, name_of
from shared.adapters.rollout import Alias, begin, end_canary, retire, revive, roll_back
from shared.audit import AuditAction
from shared.broker.base import Broker
from shared.errors import AdapterBaseUnknown, BrokerUnavailable
from shared.ids import new_id
from shared.messages import AdapterPublished
from shared.store import Store
from shared.store.times import now

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 300.0  # of a roll-out, for all workers


class Publishing:
    """`broker`: None where only the service itself has one; workers look at the store by themselves.

    `actor`: a user's id, or `command:` and who ran it.
    """

    def __init__(self, store: Store, broker: Broker | None) -> None:
        self._store = store
        self._broker = broker

    async def push(self, name: str, directory: Path, actor: str) -> AdapterManifest:
        """Check a folder and keep it as a version. Raises AdapterRefused, AdapterNameInvalid, AdapterBaseUnknown."""
        adapter_name(name)
        origin = await asyncio.to_thread(origin_of, name, directory)
        base = await self._store.adapters.base(origin.base_digest)
        if base is None:
            reason = f"no worker has served the base {origin.base_digest} that {name} was trained on; start one first"
            raise AdapterBaseUnknown(reason, adapter=name, base=origin.base_digest)
        with AdapterFolder(name, directory) as folder:
            manifest = await asyncio.to_thread(check_folder, folder, base)
            await self._record(actor, AuditAction.ADAPTER_PUSHED, manifest.version_id, digest=manifest.digest)
            await self._store.adapters.add(manifest, folder, actor)
        await self._store.adapters.change(name, lambda alias: revive(alias, manifest.version_id))
        return manifest

    async def activate(self, version: str, actor: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Alias:
        """Begin its roll-out. Raises AdapterBusy, AdapterRetired, AdapterVersionUnknown."""
        await self._store.adapters.version(version)
        began, rollout_id = now(), new_id()

        def change(alias: Alias) -> Alias:
            return begin(alias, version, rollout_id, began, timeout_s)

        return await self._change(version, change, actor, AuditAction.ADAPTER_ACTIVATED)

    async def canary(self, version: str, share: float, actor: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Alias:
        """Begin its roll-out to a share of conversations; 0 ends it. Raises as `activate`, and CanaryShareInvalid."""
        await self._store.adapters.version(version)
        began, rollout_id = now(), new_id()

        def change(alias: Alias) -> Alias:
            if share == 0:
                return end_canary(alias, version, began)
            return begin(alias, version, rollout_id, began, timeout_s, share=share)

        return await self._change(version, change, actor, AuditAction.ADAPTER_CANARY, percent=f"{100 * share:g}")

    async def roll_back(self, name: str, actor: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Alias:
        """Call off the roll-out that runs, or begin one to the version before. Raises AdapterNothingBefore."""
        began, rollout_id = now(), new_id()

        def change(alias: Alias) -> Alias:
            return roll_back(alias, rollout_id, began, timeout_s)

        return await self._change(name, change, actor, AuditAction.ADAPTER_ROLLED_BACK)

    async def retire(self, version: str, actor: str) -> None:
        """Its files go. Raises AdapterInUse, AdapterVersionUnknown."""
        await self._store.adapters.version(version)
        await self._change(version, lambda alias: retire(alias, version), actor, AuditAction.ADAPTER_RETIRED)
        await self._store.adapters.drop_files(version)

    async def _change(
        self, target: str, change: Callable[[Alias], Alias], actor: str, action: AuditAction, **facts: str | int
    ) -> Alias:
        name = name_of(target) if "@" in target else adapter_name(target)
        change(await self._store.adapters.alias(name))  # what it refuses is not recorded
        await self._record(actor, action, target, **facts)
        alias = await self._store.adapters.change(name, change)
        if self._broker is not None:
            try:
                await self._broker.publish_control(AdapterPublished(adapter=name), None)
            except BrokerUnavailable:
                log.info("adapter_not_announced")  # workers look by themselves
        return alias

    async def _record(self, actor: str, action: AuditAction, target: str, **facts: str | int) -> None:
        """Before it is done: what nobody can account for is worse than a record of what was not done."""
        await self._store.audit.append(actor, action, target, **facts)
