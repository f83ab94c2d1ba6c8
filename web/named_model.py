"""A model that settings name (`nunmal`, `nunmal:<adapter>`, another lane's), as it is served at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.errors import AdapterNameInvalid
from shared.settings import Settings
from shared.store import Store
from shared.topology import CHAT_JOBS, lane

_HOUSE = "nunmal"  # what programs call the model, whichever it is


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Where it is asked, and the version of its adapter (None: the model alone)."""

    lane: str
    adapter: str | None


class NamedModels:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._model = settings.model_name
        self._stale_after = timedelta(seconds=settings.worker.stale_after_s)

    async def served(self, name: str) -> ServedModel | None:
        """None: nobody answers with it now. Raises StoreUnavailable."""
        base, _, adapter = name.partition(":")
        where = lane(CHAT_JOBS, self._model if base == _HOUSE else base)
        version = await self._version(adapter) if adapter else None
        workers = await self._store.workers.alive(self._stale_after, where)
        if not any(version is None or version in worker.adapters for worker in workers):
            return None
        return ServedModel(where, version)

    async def _version(self, adapter: str) -> str:
        """The one in use; empty: there is none."""
        try:
            return (await self._store.adapters.alias(adapter)).active or ""
        except AdapterNameInvalid:
            return ""
