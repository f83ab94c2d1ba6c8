"""Who calls: `Authorization: Bearer sk-nunmal-...` and nothing else. Cookies are neither read nor set under /v1."""

from __future__ import annotations

import asyncio

from quart import request

from shared.chat import AccountRole
from shared.store import Store
from shared.store.keys import ApiKey
from web.api.problems import ApiKeyInvalid, ScopeMissing
from web.security_log import SecurityEvent, note

_RESEARCH = "adapters"
_RESEARCHERS = (AccountRole.RESEARCHER, AccountRole.OPERATOR)


class Callers:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def require(self, scope: str) -> ApiKey:
        """The key of this request, which may do this. Raises ApiKeyInvalid, ScopeMissing, StoreUnavailable."""
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        key = await self._store.keys.authenticate(secret.strip()) if kind.lower() == "bearer" else None
        if key is None:
            note(SecurityEvent.KEY_REFUSED)
            raise ApiKeyInvalid
        if scope not in key.scopes:
            note(SecurityEvent.SCOPE_REFUSED, user_id=key.user_id, key_id=key.id, scope=scope)
            raise ScopeMissing(scope=scope)
        is_leaving, _ = await asyncio.gather(self._store.users.is_leaving(key.user_id), self._store.keys.used(key))
        if is_leaving:  # its document goes a moment later
            raise ApiKeyInvalid
        return key

    async def require_researcher(self, *, only_operators: bool = False) -> ApiKey:
        """The key of a researcher or an operator that may change adapters. Raises as `require`."""
        key = await self.require(_RESEARCH)
        owner = await self._store.users.get(key.user_id)
        roles = _RESEARCHERS[1:] if only_operators else _RESEARCHERS
        if owner is None or owner.role not in roles:
            note(SecurityEvent.ROLE_REFUSED, user_id=key.user_id)
            raise ScopeMissing(scope=_RESEARCH)
        return key
