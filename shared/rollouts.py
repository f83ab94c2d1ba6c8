"""The roll-outs that run, settled: who lives and serves the base is held against what the workers reported.

The rule is shared/adapters/rollout.py. Done by the worker that reports, by every process now and then
(shared/recovery.py), and by whoever waits for a roll-out; twice does no harm.
"""

from __future__ import annotations

from datetime import timedelta

from shared.adapters.rollout import Alias, settle
from shared.store import Store
from shared.store.times import now


async def settle_all(store: Store, stale_after: timedelta) -> None:
    """Every roll-out that runs. Raises StoreUnavailable."""
    for alias in await store.adapters.aliases():
        if alias.rollout is not None:
            await settle_one(store, alias.name, stale_after)


async def settle_one(store: Store, name: str, stale_after: timedelta) -> Alias:
    """Move the alias of this name or end its roll-out, if it is time. `stale_after`: of a worker's heartbeat.

    Raises StoreUnavailable.
    """
    alias = await store.adapters.alias(name)
    if (rollout := alias.rollout) is None:
        return alias
    base_digest = await store.adapters.base_digest(rollout.adapter)
    alive = await store.workers.alive(stale_after)
    serving = [worker.id for worker in alive if worker.model_digest == base_digest]

    def settled(found: Alias) -> Alias:
        """Of this roll-out only: for another one other workers count."""
        is_same = found.rollout is not None and found.rollout.id == rollout.id
        return settle(found, serving, now()) if is_same else found

    return await store.adapters.change(name, settled)
