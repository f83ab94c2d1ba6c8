"""Accounts. E-mail addresses are compared lower-cased and NFC-normalised, and are unique."""

from __future__ import annotations

from dataclasses import dataclass

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


class Users:
    def __init__(self, collection: Collection) -> None:
        self._users = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._users.create_index("email", unique=True)

    @translated
    async def create(self, email: str, name: str, password_hash: bytes, role: AccountRole) -> User:
        """`email` comes normalised. Raises EmailTaken."""
        user = User(id=new_id(), email=email, name=name, role=role, created_at=moment(now()))
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
        return _user(document) if document else None

    @translated
    async def by_email(self, email: str) -> User | None:
        """The account with this (normalised) e-mail, or None."""
        document = await self._users.find_one({"email": email}, _WITHOUT_PASSWORD)
        return _user(document) if document else None

    @translated
    async def everyone(self) -> list[User]:
        """Every account, the oldest first."""
        cursor = self._users.find({}, _WITHOUT_PASSWORD).sort("_id", 1)
        return [_user(document) async for document in cursor]

    @translated
    async def credentials(self, email: str) -> Credentials | None:
        """The account with this (normalised) e-mail and its password's hash, or None."""
        document = await self._users.find_one({"email": email})
        return _credentials(document) if document else None

    @translated
    async def credentials_of(self, user_id: str) -> Credentials | None:
        """The same by id."""
        document = await self._users.find_one({"_id": user_id})
        return _credentials(document) if document else None

    @translated
    async def set_name(self, user_id: str, name: str) -> bool:
        """False if there is no such account; of the setters below too."""
        return await self._set(user_id, name=name)

    @translated
    async def set_role(self, user_id: str, role: AccountRole) -> bool:
        return await self._set(user_id, role=str(role))

    @translated
    async def set_password(self, user_id: str, password_hash: bytes) -> bool:
        return await self._set(user_id, password_hash=password_hash)

    async def _set(self, user_id: str, **values: object) -> bool:
        return bool((await self._users.update_one({"_id": user_id}, {"$set": values})).matched_count)


def _credentials(document: Document) -> Credentials:
    return Credentials(_user(document), bytes(document["password_hash"]))


def _user(document: Document) -> User:
    return User(
        id=document["_id"],
        email=document["email"],
        name=document["name"],
        role=AccountRole(document["role"]),
        created_at=moment(document["created_at"]),
    )
