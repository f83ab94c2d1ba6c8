"""Log-ins, kept on the server so that they can be revoked. The cookie's token is stored as its SHA-256 only."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from shared.store.connection import Collection, translated


class Sessions:
    def __init__(self, collection: Collection) -> None:
        self._sessions = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._sessions.create_index("user_id")
        await self._sessions.create_index("expires_at", expireAfterSeconds=0)

    @translated
    async def create(self, token: str, user_id: str, lifetime: timedelta) -> None:
        now = datetime.now(UTC)
        await self._sessions.insert_one(
            {"_id": _digest(token), "user_id": user_id, "created_at": now, "expires_at": now + lifetime}
        )

    @translated
    async def user_id(self, token: str) -> str | None:
        """Whose session this is, or None if it is unknown, revoked or expired."""
        document = await self._sessions.find_one({"_id": _digest(token)})
        if document is None or document["expires_at"] <= datetime.now(UTC):
            return None
        return str(document["user_id"])

    @translated
    async def revoke(self, token: str) -> None:
        await self._sessions.delete_one({"_id": _digest(token)})

    @translated
    async def revoke_all(self, user_id: str) -> None:
        await self._sessions.delete_many({"user_id": user_id})

    @translated
    async def sweep(self) -> None:
        """Remove expired rows (the embedded store hides them by its TTL index but keeps them)."""
        await self._sessions.delete_many({"expires_at": {"$lte": datetime.now(UTC)}})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
