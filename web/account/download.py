"""Everything we hold about one person, as one JSON document with names that people can read.

Written while it is read: a conversation of thousands of turns is never in memory. Left out are secrets (there
are only hashes of them anyway) and what is computed from the rest (token ids, costs).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from shared.chat import Conversation, Generation, PictureRef, User
from shared.store import Store
from shared.store.grants import Grant
from shared.store.keys import ApiKey
from shared.store.sessions import Session
from shared.store.shares import Share
from shared.votes import Vote

_TURNS_AT_ONCE = 20


async def download(store: Store, user: User, token: str) -> AsyncIterator[str]:
    """The document in pieces. `token`: of the session that asks. Raises StoreUnavailable in the middle too."""
    account: dict[str, Any] = {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": str(user.role),
        "created_at": user.created_at,
        "agreed_to_training_at": user.agreed_at,
        "second_step": None,
    }
    if step := await store.second_steps.get(user.id):
        account["second_step"] = {"recovery_codes_left": step.codes_left}
    yield f'{{"made_at": {_json(datetime.now(UTC))},\n"account": {_json(account)}'
    parts = {
        "conversations": _conversations(store, user),
        "votes": _rows(_vote(vote) for vote in await store.votes.of_user(user.id)),
        "comparisons": _comparisons(store, user),
        "pictures": _pictures(store, user),
        "documents": _documents(store, user),
        "document_collections": _rows(
            {"id": each.id, "name": each.name, "created_at": each.created_at}
            for each in await store.document_collections.of_user(user.id)
        ),
        "document_answers": _document_answers(store, user),
        "digests": _digests(store, user),
        "shared_links": _rows(_share(share) for share in await store.shares.of_user(user.id)),
        "api_answers": _api_answers(store, user),
        "api_keys": _rows(_key(key) for key in await store.keys.of_user(user.id)),
        "log_ins": _rows(_session(session) for session in await store.sessions.of(user.id, token)),
        "readings_by_operators": _rows(_grant(grant) for grant in await store.grants.of_owner(user.id)),
        "used_tokens": _usage(store, user),
    }
    for name, rows in parts.items():
        yield f',\n"{name}": '
        async for piece in _list(rows):
            yield piece
    yield "}\n"


async def _list(rows: AsyncIterator[AsyncIterator[str]]) -> AsyncIterator[str]:
    """A JSON list of rows that come in pieces themselves."""
    between = "[\n"
    async for row in rows:
        yield between
        async for piece in row:
            yield piece
        between = ",\n"
    yield "[]" if between == "[\n" else "\n]"


async def _rows(values: Iterable[dict[str, Any]]) -> AsyncIterator[AsyncIterator[str]]:
    for value in values:
        yield _whole(value)


async def _whole(value: dict[str, Any]) -> AsyncIterator[str]:
    yield _json(value)


async def _conversations(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    for conversation_id in await store.personal.conversation_ids(user.id):
        if conversation := await store.conversations.get(conversation_id, user.id):
            yield _conversation(store, conversation)


async def _conversation(store: Store, conversation: Conversation) -> AsyncIterator[str]:
    head = asdict(conversation)
    del head["user_id"]
    yield f'{_json(head)[:-1]}, "turns": '
    async for piece in _list(_turns(store, conversation)):
        yield piece
    yield "}"


async def _turns(store: Store, conversation: Conversation) -> AsyncIterator[AsyncIterator[str]]:
    ids = await store.personal.turn_ids(conversation.id)
    for begin in range(0, len(ids), _TURNS_AT_ONCE):
        some = await store.generations.get_many(ids[begin : begin + _TURNS_AT_ONCE])
        for turn_id in sorted(some):
            turn = some[turn_id]
            asked = {
                "id": turn.id,
                "follows": turn.parent_id,
                "instructions": turn.system,
                "question": turn.question,
                "pictures": _ids(turn.pictures),
            }
            yield _whole(asked | _answer(turn))


async def _document_answers(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    for answer_id in await store.personal.document_answer_ids(user.id):
        if answer := await store.generations.get(answer_id):
            sources = [asdict(source) for source in answer.sources]
            yield _whole({"id": answer.id, "question": answer.question, "sources": sources} | _answer(answer))


async def _api_answers(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    for answer_id in await store.personal.api_answer_ids(user.id):
        if answer := await store.generations.get(answer_id):  # one at a time: a prompt may have megabytes
            yield _whole({"id": answer.id, "kind": str(answer.origin), "prompt": _prompt(answer)} | _answer(answer))


async def _pictures(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    for picture in await store.pictures.of_user(user.id):
        if data := await store.blobs.get(picture.sha256):  # one at a time, as it was kept: without what its file told
            yield _whole(
                {
                    "id": picture.id,
                    "called": picture.alt,
                    "width": picture.width,
                    "height": picture.height,
                    "uploaded_at": picture.created_at,
                    "type": picture.mime,
                    "base64": base64.b64encode(data).decode(),
                }
            )


async def _comparisons(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    """Whose answers they are is told once something was chosen."""
    for each in await store.comparisons.of_user(user.id):
        turns = await store.generations.of_conversation(each.id, user.id)
        named = {"left": each.left, "right": each.right} if each.choice else {}
        asked = {"id": each.id, "question": each.question, "answers": [turn.answer for turn in turns]}
        yield _whole(asked | {"asked_at": each.asked_at, "choice": each.choice, "chosen_at": each.chosen_at} | named)


async def _documents(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    for document in await store.documents.of_user(user.id):
        if data := await store.blobs.get(document.sha256):  # one at a time; pages and chunks are computed from it
            yield _whole(
                {
                    "id": document.id,
                    "name": document.name,
                    "uploaded_at": document.created_at,
                    "state": str(document.state),
                    "collection": document.collection_id,
                    "base64": base64.b64encode(data).decode(),
                }
            )


async def _digests(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    for job in await store.digests.of_user(user.id):
        if (source := await store.digests.source(job.id, user.id)) is not None:  # one at a time
            yield _whole(
                {
                    "id": job.id,
                    "name": job.name,
                    "sent_at": job.created_at,
                    "state": str(job.state),
                    "article": job.given,
                    "digest": job.digest.model_dump(mode="json") if job.digest else None,
                    "base64": base64.b64encode(source).decode(),
                }
            )


async def _usage(store: Store, user: User) -> AsyncIterator[AsyncIterator[str]]:
    async for counted in store.personal.usage(user.id):
        yield _whole({"span": counted.span, "begun_at": counted.begun_at, "tokens": counted.tokens})


def _answer(turn: Generation) -> dict[str, Any]:
    asked = {name: value for name, value in asdict(turn.sampling).items() if value not in (None, (), 0.0)}
    return {
        "answer": turn.answer,
        "state": str(turn.state),
        "model": turn.lane.partition(".")[2],
        "asked_for": asked | {"seed": turn.seed},
        "asked_at": turn.created_at,
        "finished_at": turn.finished_at,
        "evidence": turn.evidence.model_dump(mode="json") if turn.evidence else None,
        "prompt_tokens": turn.prompt_tokens,
    }


def _prompt(answer: Generation) -> Any:
    if answer.prompt is None or isinstance(answer.prompt, str):
        return answer.prompt
    return [
        {"role": str(message.role), "content": message.content}
        | ({"pictures": _ids(message.pictures)} if message.pictures else {})
        for message in answer.prompt
    ]


def _ids(pictures: Iterable[PictureRef]) -> list[str]:
    return [picture.id for picture in pictures]


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "ends_with": key.hint,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }


def _vote(vote: Vote) -> dict[str, Any]:
    return {
        "turn": vote.turn_id,
        "vote": vote.value,
        "reasons": vote.reasons,
        "own_words": vote.words,
        "voted_at": vote.voted_at,
    }


def _share(share: Share) -> dict[str, Any]:
    """What it shows is in the conversation."""
    return {
        "id": share.id,
        "conversation": share.conversation_id,
        "title": share.title,
        "ends_with": share.hint,
        "created_at": share.created_at,
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "browser": session.user_agent,
        "address": session.address,
        "begun_at": session.begun_at,
        "last_used_at": session.last_used_at,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "by": grant.operator_name,
        "reason": grant.reason,
        "begun_at": grant.created_at,
        "ended_at": grant.until,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_time)


def _time(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat(timespec="seconds")
