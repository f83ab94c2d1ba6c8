"""Accounts. E-mail addresses are compared lower-cased and NFC-normalised, and are unique."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from shared.chat import AccountRole, User
from shared.errors import EmailTaken
from shared.ids import new_id
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now

_WITHOUT_PASSWORD = {"password_hash": 0}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the bcrypt hash of their password; only what checks a password needs both."""

    user: User
    password_hash: bytes
    password_set_at: float | None = None  # None: with the account


class Users:
    def __init__(self, collection: Collection) -> None:
        self._users = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._users.create_index("email", unique=True)
        await self._users.create_index("deleting_at")

    @translated
    async def create(
        self, email: str, name: str, password_hash: bytes, role: AccountRole, user_id: str | None = None
    ) -> User:
        """`email` comes normalised; `user_id`: a new id, where it was told to somebody before. Raises EmailTaken."""
        user = User(id=user_id or new_id(), email=email, name=name, role=role, created_at=moment(now()))
        document: Document = {
            "_id": user.id,
            "email": user.email,
            "name": user.name,
            "role": str(user.role),
            "created_at": user.created_at.timestamp(),
            "password_hash": password_hash,
        }
        try:
            await self._users.insert_one(document)
        except DuplicateKeyError as error:
            raise EmailTaken from error
        return user

    @translated
    async def get(self, user_id: str) -> User | None:
        document = await self._users.find_one({"_id": user_id}, _WITHOUT_PASSWORD)
        return _user(document) if document and not _is_leaving(document) else None

    @translated
    async def by_email(self, email: str) -> User | None:
        """The account with this (normalised) e-mail, or None."""
        document = await self._users.find_one({"email": email}, _WITHOUT_PASSWORD)
        return _user(document) if document else None

    @translated
    async def everyone(self) -> list[User]:
        """Every account, the oldest first."""
        cursor = self._users.find({}, _WITHOUT_PASSWORD).sort("_id", 1)
        return [_user(document) async for document in cursor if not _is_leaving(document)]

    @translated
    async def credentials(self, email: str) -> Credentials | None:
        """The account with this (normalised) e-mail and its password's hash, or None."""
        document = await self._users.find_one({"email": email})
        return _credentials(document) if document else None

    @translated
    async def credentials_of(self, user_id: str) -> Credentials | None:
        """The same by id."""
        document = await self._users.find_one({"_id": user_id})
        return _credentials(document) if document and not _is_leaving(document) else None

    @translated
    async def set_name(self, user_id: str, name: str) -> bool:
        """False if there is no such account; of the setters below too."""
        return await self._set(user_id, name=name)

    @translated
    async def set_role(self, user_id: str, role: AccountRole) -> bool:
        return await self._set(user_id, role=str(role))

    @translated
    async def set_password(self, user_id: str, password_hash: bytes) -> bool:
        return await self._set(user_id, password_hash=password_hash, password_set_at=now())

    @translated
    async def set_agreed(self, user_id: str, *, agrees: bool) -> bool:
        """Whether a model may learn from what this person votes on from now on."""
        return await self._set(user_id, agreed_at=now() if agrees else None)

    @translated
    async def agreeing(self) -> list[User]:
        """Everybody who lets a model learn from them, the oldest account first."""
        cursor = self._users.find({"agreed_at": {"$gt": 0.0}}, _WITHOUT_PASSWORD).sort("_id", 1)
        return [_user(document) async for document in cursor if not _is_leaving(document)]

    @translated
    async def renew_hash(self, old: Credentials, new: bytes) -> bool:
        """Another hash of the same password. False if the password was changed meanwhile."""
        query = {"_id": old.user.id, "password_set_at": old.password_set_at, "deleting_at": None}
        return bool((await self._users.update_one(query, {"$set": {"password_hash": new}})).matched_count)

    # How an account ends: everything of the person leaves its document at once, what is stored elsewhere follows
    # (shared/forgetting.py), and the empty document goes last, so that somebody else can finish if we cannot.

    @translated
    async def begin_deletion(self, user_id: str) -> bool:
        """From now on the account looks like an unknown one. False if there is none, or it was begun already."""
        return await self._set(
            user_id,
            email=f"deleted {user_id}",
            name="",
            password_hash=b"",
            role="user",
            agreed_at=None,
            deleting_at=now(),
        )

    @translated
    async def is_leaving(self, user_id: str) -> bool:
        """Whether its deletion has begun. False for an unknown one."""
        document = await self._users.find_one({"_id": user_id}, {"deleting_at": 1})
        return document is not None and _is_leaving(document)

    @translated
    async def leaving(self, limit: int) -> dict[str, datetime]:
        """Accounts whose deletion has begun, and when."""
        cursor = self._users.find({"deleting_at": {"$gt": 0.0}}, {"deleting_at": 1}).limit(limit)
        return {document["_id"]: moment(document["deleting_at"]) async for document in cursor}

    @translated
    async def finish_deletion(self, user_id: str) -> None:
        await self._users.delete_one({"_id": user_id, "deleting_at": {"$gt": 0.0}})

    async def _set(self, user_id: str, **values: object) -> bool:
        query = {"_id": user_id, "deleting_at": None}  # what comes late does not put a person back into it
        return bool((await self._users.update_one(query, {"$set": values})).matched_count)


def _is_leaving(document: Document) -> bool:
    return document.get("deleting_at") is not None


def _credentials(document: Document) -> Credentials:
    return Credentials(_user(document), bytes(document["password_hash"]), document.get("password_set_at"))


def _user(document: Document) -> User:
    agreed_at = document.get("agreed_at")
    return User(
        id=document["_id"],
        email=document["email"],
        name=document["name"],
        role=AccountRole(document["role"]),
        created_at=moment(document["created_at"]),
        agreed_at=moment(agreed_at) if agreed_at is not None else None,
    )
