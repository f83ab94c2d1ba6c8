"""Who calls: `Authorization: Bearer sk-nunmal-...` and nothing else. Cookies are neither read nor set under /v1."""

from __future__ import annotations

from quart import request

from shared.store import Store
from shared.store.keys import ApiKey
from web.api.problems import ApiKeyInvalid, ScopeMissing


class Callers:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def require(self, scope: str) -> ApiKey:
        """The key of this request, which may do this. Raises ApiKeyInvalid, ScopeMissing, StoreUnavailable."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        key = await self._store.keys.authenticate(secret.strip()) if kind.lower() == "bearer" else None
        if key is None:
            raise ApiKeyInvalid
        if scope not in key.scopes:
            raise ScopeMissing(scope=scope)
        await self._store.keys.used(key)
        return key
