"""Log-ins, kept on the server so that they can be listed and revoked. The cookie's token is stored as its SHA-256 only.

A session ends after its lifetime, and earlier when it has not been used for its idle time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.ids import new_id
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now

_MOST_USER_AGENT = 400  # characters kept
_MOST_LISTED = 100
_USE_NOTED_EVERY_S = 300.0  # `last_used` may be this much too old, so that reading pages writes nothing


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in as its owner sees it; `id` is no secret."""

    id: str
    user_agent: str
    address: str  # where it began
    begun_at: datetime
    last_used_at: datetime  # within five minutes
    is_this: bool  # the one that asks


class Sessions:
    def __init__(self, collection: Collection) -> None:
        self._sessions = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._sessions.create_index("user_id")
        await self._sessions.create_index("expires_at", expireAfterSeconds=0)

    @translated
    async def create(
        self,
        token: str,
        user_id: str,
        lifetime: timedelta,
        *,
        idle: timedelta | None = None,
        user_agent: str = "",
        address: str = "",
    ) -> None:
        """`idle`: how long it may lie unused; None: for its whole lifetime."""
        begun_at = datetime.now(UTC)
        await self._sessions.insert_one(
            {
                "_id": _digest(token),
                "session_id": new_id(),
                "user_id": user_id,
                "user_agent": user_agent[:_MOST_USER_AGENT],
                "address": address,
                "created_at": begun_at,
                "expires_at": begun_at + lifetime,
                "idle_s": (idle or lifetime).total_seconds(),
                "last_used": begun_at.timestamp(),
            }
        )

    @translated
    async def user_id(self, token: str) -> str | None:
        """Whose session this is, or None if it is unknown, revoked or over. Notes its use once in five minutes."""
        document = await self._sessions.find_one({"_id": _digest(token)})
        if document is None or not _is_alive(document):
            return None
        if now() - document["last_used"] > _USE_NOTED_EVERY_S:
            await self._sessions.update_one({"_id": document["_id"]}, {"$set": {"last_used": now()}})
        return str(document["user_id"])

    @translated
    async def of(self, user_id: str, token: str) -> list[Session]:
        """The user's sessions, the last used first; `token` is the one that asks."""
        this = _digest(token)
        rows = await self._sessions.find({"user_id": user_id}).to_list(None)
        rows = sorted(filter(_is_alive, rows), key=lambda row: (row["_id"] == this, row["last_used"]), reverse=True)
        return [_session(row, this) for row in rows[:_MOST_LISTED]]

    @translated
    async def revoke(self, token: str) -> None:
        await self._sessions.delete_one({"_id": _digest(token)})

    @translated
    async def revoke_one(self, user_id: str, session_id: str) -> bool:
        """False for a foreign session and for an unknown one."""
        result = await self._sessions.delete_one({"user_id": user_id, "session_id": session_id})
        return bool(result.deleted_count)

    @translated
    async def revoke_others(self, user_id: str, token: str) -> None:
        """All of the user's but the one with this token."""
        await self._sessions.delete_many({"user_id": user_id, "_id": {"$ne": _digest(token)}})

    @translated
    async def revoke_all(self, user_id: str) -> None:
        await self._sessions.delete_many({"user_id": user_id})

    @translated
    async def sweep(self) -> None:
        """Remove expired rows (the embedded store hides them by its TTL index but keeps them)."""
        await self._sessions.delete_many({"expires_at": {"$lte": datetime.now(UTC)}})


def _is_alive(document: Document) -> bool:
    is_idle = now() - document["last_used"] > document["idle_s"]
    return bool(document["expires_at"] > datetime.now(UTC)) and not is_idle


def _session(document: Document, this: str) -> Session:
    return Session(
        id=document["session_id"],
        user_agent=document["user_agent"],
        address=document["address"],
        begun_at=document["created_at"],
        last_used_at=moment(document["last_used"]),
        is_this=document["_id"] == this,
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
