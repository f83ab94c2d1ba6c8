"""Digests of people's articles: one document for each, with the article's bytes, so that it appears and goes in one
atomic write. Removing it is how it is cancelled: whoever makes it finds nothing to write to.

Ids follow from what was sent, so the same article, or the same batch, is kept once however often it comes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from shared.digests import Digest, DigestJob, DigestState, fingerprint
from shared.documents import DocumentKind
from shared.errors import NunmalError
from shared.ids import derived_id
from shared.store import connection
from shared.store.claims import MOST_ROWS, Claims
from shared.store.connection import Collection, translated
from shared.store.times import moment, now

_WITHOUT_SOURCE = {"source": 0, "ask": 0, "ask_answer": 0}
_ASKED, _ANSWERED = "asked", "answered"
_NO_ASK: dict[str, Any] = {"ask": "", "ask_state": "", "ask_until": 0.0, "ask_outcome": "", "ask_answer": None}


@dataclass(frozen=True, slots=True)
class Incoming:
    """An article to be kept. `refused`: why it will never be digested; it is kept all the same, to be told of.

    `fingerprint`: of the article and all that came with it."""

    name: str
    kind: DocumentKind
    given: dict[str, Any]
    source: bytes
    fingerprint: str
    refused: NunmalError | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a digest wants of a language model until `until`. `generation_id`: what it is asked as, the same each time;
    `model`: as programs name one."""

    digest_id: str
    user_id: str
    generation_id: str
    text: str
    schema: str
    model: str
    until: datetime


class Digests(Claims[DigestJob]):
    def __init__(self, collection: Collection) -> None:
        super().__init__(collection, _job, _WITHOUT_SOURCE)
        self._digests = collection

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "batch_id", "state", "ask_state"):
            await self._digests.create_index(field)

    # What people do.

    @translated
    async def add(
        self, user_id: str, article: Incoming, tag: float, batch_id: str | None = None, place: int = 0
    ) -> DigestJob:
        """Keep it until a worker takes it. What is there already comes back, and waits again if it failed."""
        refused = article.refused
        row: dict[str, Any] = {
            "_id": digest_id(user_id, article.fingerprint, batch_id, place),
            "user_id": user_id,
            "batch_id": batch_id,
            "place": place,
            "name": article.name,
            "kind": str(article.kind),
            "given": article.given,
            "source": article.source,
            "size_bytes": len(article.source),
            "state": str(DigestState.FAILED if refused else DigestState.WAITING),
            "tag": tag,
            "attempt": 0,
            "stalled": 0,
            "worker_id": None,
            "error_code": refused.code if refused else None,
            "error_facts": refused.facts if refused else {},
            "digest": None,
            **_NO_ASK,
            "created_at": now(),
            "permit_at": now(),
            "begun_at": None,
            "finished_at": now() if refused else None,
        }
        try:
            await self._digests.insert_one(row)
        except DuplicateKeyError:
            failed = {"_id": row["_id"], "state": str(DigestState.FAILED)}
            if refused is None:
                again = {"state": str(DigestState.WAITING), "stalled": 0, "error_code": None, "tag": tag}
                await self._digests.update_one(failed, {"$set": again | {"finished_at": None, "permit_at": now()}})
            found = await self._digests.find_one({"_id": row["_id"]}, _WITHOUT_SOURCE)
            if found:
                return _job(found)
            await self._digests.insert_one(row)  # removed meanwhile
        return _job(row)

    @translated
    async def get(self, digest_id: str, user_id: str) -> DigestJob | None:
        found = await self._digests.find_one({"_id": digest_id, "user_id": user_id}, _WITHOUT_SOURCE)
        return _job(found) if found else None

    @translated
    async def source(self, digest_id: str, user_id: str) -> bytes | None:
        """The article as it came."""
        found = await self._digests.find_one({"_id": digest_id, "user_id": user_id}, {"source": 1})
        return bytes(found["source"]) if found else None

    @translated
    async def of_user(self, user_id: str, limit: int = MOST_ROWS) -> list[DigestJob]:
        """The last sent first."""
        rows = [row async for row in self._digests.find({"user_id": user_id}, _WITHOUT_SOURCE).limit(MOST_ROWS)]
        rows.sort(key=lambda row: (-row["created_at"], row["place"], row["_id"]))
        return [_job(row) for row in rows[:limit]]

    @translated
    async def of_batch(self, batch_id: str, user_id: str) -> list[DigestJob]:
        """In the order of the batch; empty: there is none."""
        cursor = self._digests.find({"batch_id": batch_id, "user_id": user_id}, _WITHOUT_SOURCE).limit(MOST_ROWS)
        return sorted([_job(row) async for row in cursor], key=lambda job: job.place)

    @translated
    async def count(self, user_id: str, limit: int) -> int:
        """Up to `limit`."""
        return len([row async for row in self._digests.find({"user_id": user_id}, {"_id": 1}).limit(limit)])

    @translated
    async def remove(self, ids: Sequence[str], user_id: str) -> int:
        """How many there were. A worker that makes one of them stops at its next write."""
        return (await self._digests.delete_many({"_id": {"$in": list(ids)}, "user_id": user_id})).deleted_count

    # What workers do, beside what is done with every job.

    @translated
    async def source_of(self, job: DigestJob) -> bytes | None:
        """Of a job that this attempt still owns."""
        found = await self._digests.find_one({"_id": job.id, "attempt": job.attempt}, {"source": 1})
        return bytes(found["source"]) if found else None

    @translated
    async def finish(self, digest_id: str, attempt: int, digest: Digest) -> bool:
        """False if another attempt owns it now, or nobody."""
        changes = {"state": str(DigestState.READY), "worker_id": None, "digest": digest.model_dump_json()}
        return await self._change(digest_id, attempt, changes | _NO_ASK | {"finished_at": now(), "name": digest.title})

    # What a digest asks of a language model. Whoever makes it cannot read what people ask, so web nodes ask for it.

    @translated
    async def ask(self, job: DigestJob, text: str, schema: str, model: str, within_s: float) -> bool:
        """What was asked before in the same words stays asked, or answered. False as `finish`."""
        asked = json.dumps([text, schema, model], ensure_ascii=False)
        row = await self._digests.find_one({"_id": job.id, "attempt": job.attempt}, {"ask": 1, "ask_state": 1})
        if row is None:
            return False
        if row["ask"] == asked and row["ask_state"] == _ANSWERED:
            return True
        changes = {"ask": asked, "ask_state": _ASKED, "ask_until": now() + within_s}
        return await self._change(job.id, job.attempt, _NO_ASK | changes)

    @translated
    async def answer_of(self, job: DigestJob) -> tuple[str, str | None] | None:
        """How it came out, with the answer if there is one; None: not yet."""
        row = await self._digests.find_one({"_id": job.id, "ask_state": _ANSWERED}, {"ask_outcome": 1, "ask_answer": 1})
        return (row["ask_outcome"], row["ask_answer"]) if row else None

    @translated
    async def asks(self, limit: int) -> list[Ask]:
        """Of everybody, those without an answer."""
        fields = {"user_id": 1, "created_at": 1, "ask": 1, "ask_until": 1}
        cursor = self._digests.find({"ask_state": _ASKED}, fields).limit(limit)
        return [_ask(row) async for row in cursor]

    @translated
    async def answered(self, ask: Ask, outcome: str, answer: str | None = None) -> None:
        """The first answer counts."""
        changes = {"ask_state": _ANSWERED, "ask_outcome": outcome, "ask_answer": answer}
        await self._digests.update_one({"_id": ask.digest_id, "ask_state": _ASKED}, {"$set": changes})


def batch_id_of(user_id: str, fingerprints: Sequence[str]) -> str:
    return derived_id("/".join(("digest batch", user_id, *fingerprints)), 0.0)


def digest_id(user_id: str, fingerprint: str, batch_id: str | None, place: int) -> str:
    """The same for the same article of the same person at the same place."""
    return derived_id("/".join(("digest", user_id, fingerprint, batch_id or "", str(place))), 0.0)


def _ask(row: connection.Document) -> Ask:
    text, schema, model = json.loads(row["ask"])
    generation_id = derived_id(f"digest answer/{row['_id']}/{fingerprint(row['ask'])}", row["created_at"])
    return Ask(row["_id"], row["user_id"], generation_id, text, schema, model, moment(row["ask_until"]))


def _job(row: connection.Document) -> DigestJob:
    finished_at = row["finished_at"]
    return DigestJob(
        id=row["_id"],
        user_id=row["user_id"],
        batch_id=row["batch_id"],
        place=row["place"],
        name=row["name"],
        kind=DocumentKind(row["kind"]),
        given=row["given"],
        size_bytes=row["size_bytes"],
        state=DigestState(row["state"]),
        tag=row["tag"],
        attempt=row["attempt"],
        stalled=row["stalled"],
        worker_id=row["worker_id"],
        error_code=row["error_code"],
        error_facts=row["error_facts"],
        digest=Digest.model_validate_json(row["digest"]) if row["digest"] else None,
        created_at=moment(row["created_at"]),
        finished_at=None if finished_at is None else moment(finished_at),
    )
