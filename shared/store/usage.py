"""Tokens that people used, by minute and by day. A day starts at 00:00 Asia/Seoul.

Counted when an answer has ended: its prompt and everything written for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from pymongo import UpdateOne

from shared.store.connection import Collection, translated

SEOUL = timezone(timedelta(hours=9), "Asia/Seoul")  # no daylight saving time since 1988
_KEEP = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class UsedTokens:
    """What one person has used."""

    today: int
    this_minute: int
    last_minute: int


class Usage:
    def __init__(self, collection: Collection) -> None:
        self._counts = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._counts.create_index("begun_at")

    @translated
    async def add(self, user_id: str, tokens: int, at: datetime) -> None:
        """Count `tokens` at the moment `at` (aware)."""
        updates = [
            UpdateOne(
                {"_id": _key(user_id, begin)},
                {"$inc": {"tokens": tokens}, "$setOnInsert": {"begun_at": begin.timestamp()}},
                upsert=True,
            )
            for begin in (minute_of(at), day_of(at))
        ]
        await self._counts.bulk_write(updates, ordered=False)

    @translated
    async def of(self, user_id: str, at: datetime) -> UsedTokens:
        minute = minute_of(at)
        spans = [day_of(at), minute, minute - timedelta(minutes=1)]
        keys = [_key(user_id, begin) for begin in spans]
        found = {row["_id"]: int(row["tokens"]) async for row in self._counts.find({"_id": {"$in": keys}})}
        return UsedTokens(*(found.get(key, 0) for key in keys))

    @translated
    async def sweep(self) -> None:
        """Forget what nobody can be held to any more."""
        await self._counts.delete_many({"begun_at": {"$lt": (datetime.now(UTC) - _KEEP).timestamp()}})


def minute_of(at: datetime) -> datetime:
    """When the minute of `at` began (UTC)."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """When the day of `at` began in Seoul."""
    return at.astimezone(SEOUL).replace(hour=0, minute=0, second=0, microsecond=0)


def _key(user_id: str, begin: datetime) -> str:
    return f"{user_id}/{begin.isoformat()}"
