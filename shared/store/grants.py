"""Break-glass grants: an operator may read one person's conversations for some minutes, for a reason.

The owner is told of each, and sees all of them for as long as the account lives. Nobody extends a grant: another look
is another grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.chat import User
from shared.ids import new_id
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now


@dataclass(frozen=True, slots=True)
class Grant:
    """`operator_name` and `operator_email` are as they were then."""

    id: str
    operator_id: str
    operator_name: str
    owner_id: str
    reason: str
    minutes: int
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None  # when the operator ended it early
    dismissed_at: datetime | None = None  # when the owner put the notice away
    operator_email: str = ""  # of grants from before it was kept

    @property
    def is_running(self) -> bool:
        return self.ended_at is None and datetime.now(UTC) < self.expires_at

    @property
    def until(self) -> datetime:
        """When it ends or ended."""
        return self.ended_at or self.expires_at


class Grants:
    def __init__(self, collection: Collection) -> None:
        self._grants = collection

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("owner_id", "operator_id"):
            await self._grants.create_index(field)

    @translated
    async def add(self, grant: Grant) -> None:
        await self._grants.insert_one(
            {
                "_id": grant.id,
                "operator_id": grant.operator_id,
                "operator_name": grant.operator_name,
                "operator_email": grant.operator_email,
                "owner_id": grant.owner_id,
                "reason": grant.reason,
                "minutes": grant.minutes,
                "created_at": grant.created_at.timestamp(),
                "expires_at": grant.expires_at.timestamp(),
                "ended_at": None,
                "dismissed_at": None,
            }
        )

    @translated
    async def get(self, grant_id: str, operator_id: str) -> Grant | None:
        """Another operator's grant looks like an unknown one."""
        document = await self._grants.find_one({"_id": grant_id, "operator_id": operator_id})
        return _grant(document) if document else None

    @translated
    async def of_operator(self, operator_id: str, limit: int = 50) -> list[Grant]:
        """The last made first."""
        return await self._latest({"operator_id": operator_id}, limit)

    @translated
    async def of_owner(self, owner_id: str, limit: int = 1000) -> list[Grant]:
        """Everybody who was ever let in, the last first."""
        return await self._latest({"owner_id": owner_id}, limit)

    @translated
    async def not_dismissed(self, owner_id: str, limit: int = 20) -> list[Grant]:
        """What the owner has yet to see, the last first."""
        return await self._latest({"owner_id": owner_id, "dismissed_at": None}, limit)

    @translated
    async def end(self, grant_id: str, operator_id: str) -> bool:
        """End it now. False if it is no running grant of this operator."""
        at = now()
        result = await self._grants.update_one(
            {"_id": grant_id, "operator_id": operator_id, "ended_at": None, "expires_at": {"$gt": at}},
            {"$set": {"ended_at": at}},
        )
        return result.modified_count == 1

    @translated
    async def dismiss(self, grant_id: str, owner_id: str) -> bool:
        """The owner has seen it. False if it is not about this owner."""
        result = await self._grants.update_one(
            {"_id": grant_id, "owner_id": owner_id}, {"$set": {"dismissed_at": now()}}
        )
        return result.matched_count == 1

    @translated
    async def remove_user(self, user_id: str) -> None:
        """With the account of an owner; what an operator did stays with those it was done to."""
        await self._grants.delete_many({"owner_id": user_id})

    async def _latest(self, query: Document, limit: int) -> list[Grant]:
        cursor = self._grants.find(query).sort("_id", -1).limit(limit)
        return [_grant(document) for document in await cursor.to_list(limit)]


def new_grant(operator: User, owner_id: str, reason: str, minutes: int) -> Grant:
    """A grant that begins now."""
    begin = moment(now())
    return Grant(
        id=new_id(),
        operator_id=operator.id,
        operator_name=operator.name,
        operator_email=operator.email,
        owner_id=owner_id,
        reason=reason,
        minutes=minutes,
        created_at=begin,
        expires_at=begin + timedelta(minutes=minutes),
    )


def _grant(document: Document) -> Grant:
    return Grant(
        id=document["_id"],
        operator_id=document["operator_id"],
        operator_name=document["operator_name"],
        operator_email=document.get("operator_email", ""),
        owner_id=document["owner_id"],
        reason=document["reason"],
        minutes=document["minutes"],
        created_at=moment(document["created_at"]),
        expires_at=moment(document["expires_at"]),
        ended_at=_moment(document["ended_at"]),
        dismissed_at=_moment(document["dismissed_at"]),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)
