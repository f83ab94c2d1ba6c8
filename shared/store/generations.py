"""Generations: one document a turn. The store gives order and truth; the broker only wakes workers.

    queued --claim--> running --finish--> done | stopped | failed
       ^                 |
       +-----requeue-----+     worker lost or draining; token ids, answer and attempt stay

Every write of a worker names the attempt it was claimed under and does nothing if that is no longer the current
one: a worker that was frozen and wakes up cannot write. Answers and token ids are written together, so what
people saw and what another worker continues from never differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from shared.chat import Generation, GenerationState, JobClass, Origin, PictureRef, SamplingParams, TokenLogprob
from shared.documents import Source
from shared.errors import NunmalError, PromptTooLong, TooManyAttempts
from shared.evidence import Evidence
from shared.store.connection import Collection, Document, translated
from shared.store.leftovers import unique
from shared.store.logprobs import logprobs_from_store, logprobs_in_store
from shared.store.prompts import prompt_from_store, prompt_in_store
from shared.store.times import moment, now

_MOST_WAITING_READ = 1000
_WITHOUT_TOKENS = {"token_ids": 0, "logprobs": 0, "prompt": 0}  # what only workers and the one answer's reader need
_TIMES = ("created_at", "cancel_requested_at", "claimed_at", "first_token_at", "finished_at")
_WAITING: Document = {"state": str(GenerationState.QUEUED), "worker_id": None}
_UNFINISHED = [str(GenerationState.QUEUED), str(GenerationState.RUNNING)]
_AWAITED = [str(origin) for origin in Origin if origin is not Origin.DIGEST]
_UNBEGUN = [str(GenerationState.HELD), str(GenerationState.QUEUED)]


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """What a worker learns when it writes."""

    is_current: bool  # False: another attempt owns the generation now; stop writing
    cancel_requested_at: datetime | None  # when the person pressed stop (the broadcast may have been lost)


class Rank(NamedTuple):
    """Ranks compare in the order of claims."""

    job_class: int
    tag: float
    generation_id: str


class Generations:
    def __init__(self, collection: Collection) -> None:
        self._generations = collection

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("conversation_id", "user_id", "state", "lane", "is_dead"):
            await self._generations.create_index(field)
        await self._generations.create_index([("lane", 1), ("state", 1), ("job_class", 1), ("tag", 1)])

    # What web asks and reads.

    @translated
    async def add(self, generation: Generation) -> bool:
        """Ask a question in one atomic write. False if this id was used already: the same question sent twice."""
        document = asdict(generation)
        document["_id"] = document.pop("id")
        document["state"] = str(generation.state)
        document["token_ids"] = list(generation.token_ids)
        document["listeners"] = list(generation.listeners)
        document["job_class"] = int(generation.job_class)
        document["origin"] = str(generation.origin)
        document["prompt"] = prompt_in_store(generation.prompt, generation.pictures)
        document["pictures"] = list(document["pictures"])
        document["sources"] = list(document["sources"])
        document["pins"] = list(generation.pins)
        document["picture_ids"] = [picture.id for picture in generation.pictures]  # by which pictures are looked for
        for name in _TIMES:
            document[name] = document[name].timestamp() if document[name] is not None else None
        document["permit_at"] = now()
        document["is_unindexed"] = True  # shared/store/search.py
        try:
            await self._generations.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    @translated
    async def get(self, generation_id: str) -> Generation | None:
        document = await self._generations.find_one({"_id": generation_id})
        return _generation(document) if document else None

    @translated
    async def get_many(self, generation_ids: Iterable[str]) -> dict[str, Generation]:
        """Those that exist, by id, without their token ids and prompts, in one query."""
        cursor = self._generations.find({"_id": {"$in": list(generation_ids)}}, {"token_ids": 0, "prompt": 0})
        return {document["_id"]: _generation(document) async for document in cursor}

    @translated
    async def of_conversation(self, conversation_id: str, user_id: str) -> list[Generation]:
        """All turns of all branches, oldest first, without their token ids; none if it is somebody else's."""
        query = {"conversation_id": conversation_id, "user_id": user_id}
        cursor = self._generations.find(query, _WITHOUT_TOKENS)
        return sorted([_generation(document) async for document in cursor], key=lambda turn: turn.id)

    @translated
    async def branch(self, leaf_id: str, user_id: str) -> list[Generation]:
        """The turns from the first question to `leaf_id`, without token ids; empty if this user has no such turn."""
        leaf = await self._generations.find_one({"_id": leaf_id, "user_id": user_id}, {"conversation_id": 1})
        if leaf is None:
            return []
        turns = {turn.id: turn for turn in await self.of_conversation(leaf["conversation_id"], user_id)}
        path: list[Generation] = []
        at: str | None = leaf_id
        while at is not None and at in turns:
            path.append(turns.pop(at))
            at = path[-1].parent_id
        return path[::-1]

    @translated
    async def remove(self, generation_id: str) -> None:
        """Take back a question that no worker was asked to answer."""
        await self._generations.delete_one({"_id": generation_id, "state": str(GenerationState.QUEUED)})

    # Questions that are held until the answer before them has ended.

    @translated
    async def held(self, limit: int) -> list[Generation]:
        """Of everybody, without token ids, oldest first."""
        cursor = self._generations.find({"state": str(GenerationState.HELD)}, _WITHOUT_TOKENS).limit(limit)
        return sorted([_generation(document) async for document in cursor], key=lambda turn: turn.id)

    @translated
    async def release(self, turn: Generation) -> bool:
        """Let a held one stand in line, where its tag puts it. False if it is held no more."""
        place = {"tag": turn.tag, "cost": turn.cost, "forecast_s": turn.forecast_s, "permit_at": now()}
        result = await self._generations.update_one(
            {"_id": turn.id, "state": str(GenerationState.HELD)},
            {
                "$set": place | {"state": str(GenerationState.QUEUED)},
                "$addToSet": {"listeners": {"$each": list(turn.listeners)}},
            },
        )
        return result.matched_count == 1

    @translated
    async def hold(self, generation_id: str) -> bool:
        """Out of the line again. False if a worker was quicker."""
        result = await self._generations.update_one(
            {"_id": generation_id, "state": str(GenerationState.QUEUED)},
            {"$set": {"state": str(GenerationState.HELD)}},
        )
        return result.matched_count == 1

    @translated
    async def follow(self, generation_id: str, parent_id: str | None) -> None:
        """Let a held one wait for another answer."""
        await self._generations.update_one(
            {"_id": generation_id, "state": str(GenerationState.HELD)}, {"$set": {"parent_id": parent_id}}
        )

    @translated
    async def unfinished_of_user(self, user_id: str, limit: int) -> int:
        """How many answers wait or run for this user, digests aside, which have limits of their own; up to `limit`."""
        query = {"user_id": user_id, "state": {"$in": _UNFINISHED}, "origin": {"$in": _AWAITED}}
        return len(await self._generations.find(query, {"_id": 1}).limit(limit).to_list(limit))

    @translated
    async def waiting_in(self, lane: str, limit: int) -> list[Rank]:
        """The lane's waiting generations in the order of their claims; at most `limit` are read."""
        query = {"lane": lane, "state": str(GenerationState.QUEUED)}
        cursor = self._generations.find(query, {"job_class": 1, "tag": 1}).limit(limit)
        return sorted(
            Rank(document["job_class"], document["tag"], document["_id"]) for document in await cursor.to_list(limit)
        )

    @translated
    async def longest_waiting(self, lane: str) -> datetime | None:
        """When the question was asked that has waited longest; None if none waits."""
        query = {"lane": lane, "state": str(GenerationState.QUEUED)}
        cursor = self._generations.find(query, {"created_at": 1}).sort("created_at", 1).limit(1)
        found = await cursor.to_list(1)
        return moment(found[0]["created_at"]) if found else None

    @translated
    async def latest(self, user_id: str, origin: Origin, limit: int) -> list[Generation]:
        """What this user asked through one door, the last first, without prompts."""
        query = {"user_id": user_id, "origin": str(origin)}
        cursor = self._generations.find(query, {"prompt": 0}).sort("_id", -1).limit(limit)
        return [_generation(document) async for document in cursor]

    @translated
    async def listen(self, generation_id: str, node_id: str) -> Generation | None:
        """Name a web node that shows this answer; whoever claims it from now on sends its frames there."""
        document = await self._generations.find_one_and_update(
            {"_id": generation_id},
            {"$addToSet": {"listeners": node_id}},
            return_document=ReturnDocument.AFTER,
        )
        return _generation(document) if document else None

    @translated
    async def request_cancel(self, generation_id: str, user_id: str) -> Generation | None:
        """Mark it; a held or waiting one is stopped at once. Returns it as it is now; None if it is not this user's."""
        stopped = await self._generations.find_one_and_update(
            {"_id": generation_id, "user_id": user_id, "state": {"$in": _UNBEGUN}},
            {"$set": {"state": str(GenerationState.STOPPED), "cancel_requested_at": now(), "finished_at": now()}},
            return_document=ReturnDocument.AFTER,
        )
        document = stopped or await self._generations.find_one_and_update(
            {"_id": generation_id, "user_id": user_id},
            {"$set": {"cancel_requested_at": now()}},
            return_document=ReturnDocument.AFTER,
        )
        return _generation(document) if document else None

    # What a worker writes.

    @translated
    async def claim(
        self, lane: str, worker_id: str, *, adapters: Sequence[str] = (), suspects: bool = True
    ) -> Generation | None:
        """Take the lane's waiting generation whose turn it is, or None. Counts the attempt.

        Only those that are answered with no adapter or one of `adapters`. Without `suspects`, those whose last attempt
        ended without a new token are passed over."""
        proven = {} if suspects else {"stalled_attempts": 0}
        document = await self._generations.find_one_and_update(
            {
                "lane": lane,
                "state": str(GenerationState.QUEUED),
                "adapter": {"$in": [None, *adapters]},
                **proven,
            },
            {
                "$set": {
                    "state": str(GenerationState.RUNNING),
                    "worker_id": worker_id,
                    "claimed_at": now(),
                },
                "$inc": {"attempt": 1, "stalled_attempts": 1},
            },
            sort=[("job_class", 1), ("tag", 1), ("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return _generation(document) if document else None

    @translated
    async def adapters_needed(self, lane: str) -> list[str]:
        """The versions that the lane's unfinished generations name."""
        query = {"lane": lane, "state": {"$in": [*_UNBEGUN, *_UNFINISHED]}, "adapter": {"$ne": None}}
        cursor = self._generations.find(query, {"adapter": 1}).limit(_MOST_WAITING_READ)
        return unique([document["adapter"] async for document in cursor])

    @translated
    async def checkpoint(
        self,
        generation_id: str,
        attempt: int,
        token_ids: Sequence[int],
        answer: str,
        model_digest: str,
        logprobs: Sequence[TokenLogprob] | None = None,
        *,
        gives_back: bool = False,
    ) -> CheckpointResult:
        """Keep progress. Only call it with more tokens than the last time: it counts as progress.

        `gives_back`: and go back to waiting, in the same write, so that an earlier checkpoint which is still on its way
        finds another state and takes nothing from it."""
        document = await self._generations.find_one_and_update(
            _owned(generation_id, attempt),
            {
                "$set": {
                    "token_ids": list(token_ids),
                    "answer": answer,
                    "model_digest": model_digest,
                    "stalled_attempts": 0,
                    **logprobs_in_store(logprobs),
                    **(_WAITING if gives_back else {}),
                }
            },
            projection={"cancel_requested_at": 1},
            return_document=ReturnDocument.AFTER,
        )
        asked_at = document["cancel_requested_at"] if document else None
        return CheckpointResult(document is not None, moment(asked_at) if asked_at is not None else None)

    @translated
    async def first_token(self, generation_id: str, attempt: int) -> None:
        await self._generations.update_one(
            {**_owned(generation_id, attempt), "first_token_at": None}, {"$set": {"first_token_at": now()}}
        )

    @translated
    async def finish(
        self,
        generation_id: str,
        attempt: int,
        state: GenerationState,
        token_ids: Sequence[int],
        answer: str,
        error: NunmalError | None = None,
        prompt_tokens: int = 0,
        finish_reason: str | None = None,
        logprobs: Sequence[TokenLogprob] | None = None,
        evidence: Evidence | None = None,
        left_out: int = 0,
        model_digest: str | None = None,
    ) -> bool:
        """Write the end. `model_digest`: of the model that wrote in this attempt, if it wrote. False if another attempt
        owns the generation now."""
        update: dict[str, Any] = {
            "state": str(state),
            "token_ids": list(token_ids),
            "answer": answer,
            "prompt_tokens": prompt_tokens,
            "answer_tokens": len(token_ids),
            "left_out": left_out,
            "finish_reason": finish_reason,
            "finished_at": now(),
            **logprobs_in_store(logprobs),
        }
        if model_digest is not None:
            update["model_digest"] = model_digest
        if evidence is not None:
            update["evidence"] = evidence.model_dump(mode="json")
        if error is not None:
            update |= {"error_code": error.code, "error_facts": error.facts}
            update["is_dead"] = isinstance(error, TooManyAttempts)
            if isinstance(error, PromptTooLong):  # whoever sent it has it; nobody can answer it
                update["prompt"] = None
        result = await self._generations.update_one(_owned(generation_id, attempt), {"$set": update})
        return bool(result.matched_count)

    @translated
    async def requeue(self, generation_id: str, attempt: int, *, made_progress: bool = False) -> bool:
        """Back to waiting, with its token ids: the worker is lost or drains. False if it had moved on."""
        waiting = _WAITING | ({"stalled_attempts": 0} if made_progress else {})
        result = await self._generations.update_one(_owned(generation_id, attempt), {"$set": waiting})
        return bool(result.matched_count)

    # What an operator does with answers that failed three times without a token.

    @translated
    async def dead(self, limit: int) -> list[Generation]:
        """Oldest first, without token ids."""
        cursor = self._generations.find({"is_dead": True}, _WITHOUT_TOKENS).limit(limit)
        return sorted([_generation(document) async for document in cursor], key=lambda turn: turn.id)

    @translated
    async def count_dead(self, limit: int) -> int:
        """Counted up to `limit`."""
        return len(await self._generations.find({"is_dead": True}, {"_id": 1}).limit(limit).to_list(limit))

    @translated
    async def revive(self, generation_id: str) -> Generation | None:
        """Let it wait again with all its attempts before it; None if it was not dead."""
        document = await self._generations.find_one_and_update(
            {"_id": generation_id, "is_dead": True},
            {
                "$set": {
                    "state": str(GenerationState.QUEUED),
                    "is_dead": False,
                    "stalled_attempts": 0,
                    "error_code": None,
                    "error_facts": {},
                    "finished_at": None,
                    "worker_id": None,
                    "is_unindexed": True,
                    "permit_at": 0.0,  # recovery sends the permit if nobody else can
                }
            },
            return_document=ReturnDocument.AFTER,
        )
        return _generation(document) if document else None

    @translated
    async def bury(self, generation_id: str) -> bool:
        """It stays failed and is not listed any more; False if it was not dead."""
        result = await self._generations.update_one(
            {"_id": generation_id, "is_dead": True}, {"$set": {"is_dead": False}}
        )
        return bool(result.matched_count)

    # What recovery needs.

    @translated
    async def running(self) -> list[Generation]:
        """All running generations, without token ids and answers: every process asks twice a second."""
        cursor = self._generations.find({"state": str(GenerationState.RUNNING)}, {**_WITHOUT_TOKENS, "answer": 0})
        return [_generation(document) async for document in cursor]

    @translated
    async def waiting_since(self, before: datetime, lanes: Iterable[str]) -> list[Generation]:
        """Waiting generations of these lanes whose last permit was sent before `before`, first tags first."""
        query = {
            "state": str(GenerationState.QUEUED),
            "lane": {"$in": list(lanes)},
            "permit_at": {"$lt": before.timestamp()},
        }
        cursor = self._generations.find(query, _WITHOUT_TOKENS).limit(_MOST_WAITING_READ)
        return sorted([_generation(document) async for document in cursor], key=lambda turn: turn.tag)

    @translated
    async def permit_sent(self, generation_id: str) -> None:
        await self._generations.update_one({"_id": generation_id}, {"$set": {"permit_at": now()}})


def _owned(generation_id: str, attempt: int) -> Document:
    return {"_id": generation_id, "attempt": attempt, "state": str(GenerationState.RUNNING)}


def _generation(document: Document) -> Generation:
    values = {name: document[name] for name in Generation.__dataclass_fields__ if name in document}
    values["id"] = document["_id"]
    values["state"] = GenerationState(document["state"])
    values["job_class"] = JobClass(document["job_class"])
    values["sampling"] = SamplingParams(**{**document["sampling"], "stop": tuple(document["sampling"].get("stop", ()))})
    values["origin"] = Origin(document.get("origin", Origin.PAGE))
    values["pictures"] = tuple(PictureRef(**picture) for picture in document.get("pictures", ()))
    values["sources"] = tuple(_source(source) for source in document.get("sources", ()))
    values["prompt"] = prompt_from_store(document.get("prompt"), values["pictures"])
    if document.get("evidence") is not None:
        values["evidence"] = Evidence.model_validate(document["evidence"])
    values["token_ids"] = tuple(document.get("token_ids", ()))
    values["pins"] = tuple(document.get("pins", ()))
    values["listeners"] = tuple(document["listeners"])
    if document.get("logprobs") is not None:
        values["logprobs"] = logprobs_from_store(document["logprobs"])
    for name in _TIMES:
        values[name] = moment(document[name]) if document[name] is not None else None
    return Generation(**values)


def _source(document: Document) -> Source:
    quote = document["quote"]
    return Source(**{**document, "quote": None if quote is None else (quote[0], quote[1])})
