"""The second step of a log-in: a sealed TOTP secret and hashed recovery codes for each account that has one.

Nothing here can be read without the web nodes' secret key: they seal the secret and key the hashes of the codes
(web/auth/second_step.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from shared.store.connection import Collection, translated


@dataclass(frozen=True, slots=True)
class SecondStep:
    sealed_secret: str
    codes_left: int  # recovery codes nobody has used


class SecondSteps:
    def __init__(self, collection: Collection, codes: Collection) -> None:
        self._steps = collection
        self._codes = codes

    @translated
    async def ensure_indexes(self) -> None:
        await self._codes.create_index("user_id")

    @translated
    async def switch_on(self, user_id: str, sealed_secret: str, timecode: int, code_hashes: Iterable[str]) -> bool:
        """`timecode`: of the TOTP code it was confirmed with. False if the account has a second step already."""
        try:
            await self._steps.insert_one({"_id": user_id, "sealed_secret": sealed_secret, "timecode": timecode})
        except DuplicateKeyError:
            return False
        await self._codes.delete_many({"user_id": user_id})
        await self._codes.insert_many([{"_id": code_hash, "user_id": user_id} for code_hash in code_hashes])
        return True

    @translated
    async def is_on(self, user_id: str) -> bool:
        return await self._steps.find_one({"_id": user_id}, {"_id": 1}) is not None

    @translated
    async def get(self, user_id: str) -> SecondStep | None:
        document = await self._steps.find_one({"_id": user_id})
        if document is None:
            return None
        return SecondStep(document["sealed_secret"], await self._codes.count_documents({"user_id": user_id}))

    @translated
    async def use_timecode(self, user_id: str, timecode: int) -> bool:
        """False if a code of this time, or of a later one, was used before."""
        result = await self._steps.update_one(
            {"_id": user_id, "timecode": {"$lt": timecode}}, {"$set": {"timecode": timecode}}
        )
        return bool(result.matched_count)

    @translated
    async def use_code(self, user_id: str, code_hash: str) -> bool:
        """True once for each recovery code of this account."""
        return bool((await self._codes.delete_one({"_id": code_hash, "user_id": user_id})).deleted_count)

    @translated
    async def switch_off(self, user_id: str) -> bool:
        """False if there was none."""
        result = await self._steps.delete_one({"_id": user_id})
        await self._codes.delete_many({"user_id": user_id})
        return bool(result.deleted_count)
