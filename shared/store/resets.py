"""One-time links to a new password. A link's token is returned once and stored as its SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from shared.store.connection import Collection, Document, translated
from shared.store.times import now


@dataclass(frozen=True, slots=True)
class Reset:
    """What a token allows. `without_second_step`: it also switches the second step of this account off."""

    user_id: str
    without_second_step: bool


class Resets:
    def __init__(self, collection: Collection) -> None:
        self._resets = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._resets.create_index("user_id")

    @translated
    async def create(self, user_id: str, lifetime: timedelta, *, without_second_step: bool = False) -> str:
        """A fresh token; the page is /reset/<token>."""
        token = secrets.token_urlsafe(32)
        await self._resets.insert_one(
            {
                "_id": _digest(token),
                "user_id": user_id,
                "without_second_step": without_second_step,
                "expires_at": now() + lifetime.total_seconds(),
            }
        )
        return token

    @translated
    async def find(self, token: str) -> Reset | None:
        """What this token allows, or None if it is unknown, used or expired. It stays usable."""
        return _reset(await self._resets.find_one({"_id": _digest(token)}))

    @translated
    async def use(self, token: str) -> Reset | None:
        """The same, once: of several who come with it at the same moment one gets it."""
        return _reset(await self._resets.find_one_and_delete({"_id": _digest(token)}))

    @translated
    async def revoke_all(self, user_id: str) -> None:
        """Links that were not used are worth nothing any more."""
        await self._resets.delete_many({"user_id": user_id})

    @translated
    async def sweep(self) -> None:
        await self._resets.delete_many({"expires_at": {"$lt": now()}})


def _reset(document: Document | None) -> Reset | None:
    if document is None or document["expires_at"] <= now():
        return None
    return Reset(document["user_id"], document["without_second_step"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
