"""Which adapters people and programs may choose, and which version a choice means now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.adapters.manifest import name_of
from shared.adapters.rollout import Alias
from shared.errors import AdapterNameInvalid, AdapterVersionUnknown
from shared.store import Store
from shared.store.times import moment


@dataclass(frozen=True, slots=True)
class OfferedAdapter:
    name: str
    version: str  # what it means now, canaries aside
    since: datetime | None


class AdapterChoice:
    """Of one lane. Asked anew each time: who asks after an alias has moved gets the new version."""

    def __init__(self, store: Store, lane: str, stale_after_s: float) -> None:
        self._store = store
        self._lane = lane
        self._stale_after = timedelta(seconds=stale_after_s)

    async def offered(self) -> list[OfferedAdapter]:
        """By name: those that a living worker of the lane answers with. Raises StoreUnavailable."""
        aliases, workers = await asyncio.gather(
            self._store.adapters.aliases(), self._store.workers.alive(self._stale_after, self._lane)
        )
        served = {version for worker in workers for version in worker.adapters}
        return [
            OfferedAdapter(alias.name, alias.active, moment(alias.last.at) if alias.last else None)
            for alias in aliases
            if alias.active in served and alias.active is not None
        ]

    async def version(self, chosen: str, key: str) -> str:
        """What answers now: the active version of a name, or for its share of keys the canary. A version is itself, if
        it is in use. `key`: of a conversation, which so stays with one of them.

        Raises AdapterVersionUnknown, StoreUnavailable.
        """
        try:
            alias = await self._store.adapters.alias(name_of(chosen) if "@" in chosen else chosen)
        except AdapterNameInvalid as error:
            raise AdapterVersionUnknown(adapter=chosen[:100]) from error
        found = _in_use(alias, chosen) if "@" in chosen else alias.choose(key)
        if found is None:
            raise AdapterVersionUnknown(f"no version of {chosen[:100]} is in use", adapter=chosen[:100])
        return found


def _in_use(alias: Alias, version: str) -> str | None:
    """One that every worker keeps loaded: active, a canary, or the one to go back to."""
    canary = alias.canary.adapter if alias.canary else None
    return version if version in (alias.active, canary, *alias.previous[:1]) else None
