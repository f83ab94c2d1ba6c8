"""Accounts. E-mail addresses are compared lower-cased and NFC-normalised, and are unique."""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from shared.chat import AccountRole, User
from shared.errors import EmailTaken
from shared.ids import new_id
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the bcrypt hash of their password; only log-in needs both."""

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
        document = await self._users.find_one({"_id": user_id}, {"password_hash": 0})
        return _user(document) if document else None

    @translated
    async def credentials(self, email: str) -> Credentials | None:
        """The account with this (normalised) e-mail, or None."""
        document = await self._users.find_one({"email": email})
        return Credentials(_user(document), bytes(document["password_hash"])) if document else None


def _user(document: Document) -> User:
    return User(
        id=document["_id"],
        email=document["email"],
        name=document["name"],
        role=AccountRole(document["role"]),
        created_at=moment(document["created_at"]),
    )
