"""API keys: what a program shows instead of a person's log-in.

A secret is returned once, by `create`, and stored as its SHA-256 only. A fast hash is enough, unlike for passwords:
the secret is 288 random bits, so nobody can guess candidates to hash, and every request has to look it up.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection as Items
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.ids import new_id
from shared.scopes import SCOPES
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now

_PREFIX = "sk-nunmal-"
_SECRET_BYTES = 36  # without the characters that the hint shows, 264 bits are left
_SECRET = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{48}}")
_HINT_CHARACTERS = 4
_USED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner sees it: everything but the secret."""

    id: str
    user_id: str
    name: str
    hint: str  # the secret's last characters, so that people tell their keys apart
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None  # to the minute

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class Keys:
    def __init__(self, collection: Collection) -> None:
        self._keys = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._keys.create_index("digest", unique=True)
        await self._keys.create_index("user_id")

    @translated
    async def create(
        self, user_id: str, name: str = "", scopes: Items[str] = SCOPES, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which nobody can read again. `name` and `scopes` come checked."""
        assert set(scopes) <= set(SCOPES)
        secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        document: Document = {
            "_id": new_id(),
            "user_id": user_id,
            "digest": _digest(secret),
            "name": name,
            "hint": secret[-_HINT_CHARACTERS:],
            "scopes": sorted(scopes),
            "created_at": now(),
            "expires_at": expires_at.timestamp() if expires_at else None,
            "last_used_at": 0.0,  # never
        }
        await self._keys.insert_one(document)
        return _key(document), secret

    @translated
    async def authenticate(self, secret: str) -> ApiKey | None:
        """The key with this secret, or None if it is unknown, expired or revoked."""
        if not _SECRET.fullmatch(secret):
            return None
        document = await self._keys.find_one({"digest": _digest(secret)})
        key = _key(document) if document else None
        return None if key is None or key.is_expired else key

    @translated
    async def used(self, key: ApiKey) -> None:
        """Remember that it was used just now; written at most once a minute."""
        at = now()
        if key.last_used_at is None or key.last_used_at.timestamp() < at - _USED_EVERY_S:
            await self._keys.update_one(
                {"_id": key.id, "last_used_at": {"$lt": at - _USED_EVERY_S}}, {"$set": {"last_used_at": at}}
            )

    @translated
    async def get(self, key_id: str) -> ApiKey | None:
        document = await self._keys.find_one({"_id": key_id})
        return _key(document) if document else None

    @translated
    async def of_user(self, user_id: str) -> list[ApiKey]:
        """The last made first, expired ones too."""
        found = [_key(document) async for document in self._keys.find({"user_id": user_id})]
        return sorted(found, key=lambda key: key.id, reverse=True)

    @translated
    async def revoke(self, key_id: str, user_id: str) -> bool:
        """The secret is worth nothing from now on. False if this user has no such key."""
        result = await self._keys.delete_one({"_id": key_id, "user_id": user_id})
        return result.deleted_count == 1

    @translated
    async def remove_user(self, user_id: str) -> None:
        await self._keys.delete_many({"user_id": user_id})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(document: Document) -> ApiKey:
    return ApiKey(
        id=document["_id"],
        user_id=document["user_id"],
        name=document["name"],
        hint=document["hint"],
        scopes=frozenset(document["scopes"]),
        created_at=moment(document["created_at"]),
        expires_at=moment(document["expires_at"]) if document["expires_at"] is not None else None,
        last_used_at=moment(document["last_used_at"]) if document["last_used_at"] else None,
    )
