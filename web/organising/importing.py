"""Bringing conversations along from a file. The same file again, or a later export of the same conversations, makes no
doubles: ids are derived from the person, the conversation's and the turn's, so what is there is found there.

A conversation is written before its turns, the first before the last; the same file goes on with what was cut short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from shared.chat import Conversation, Generation, GenerationState, User
from shared.errors import InputError, MessageInvalid
from shared.ids import derived_id, is_id
from shared.store import Store
from web.chat.titles import title_of
from web.forms import tidy
from web.organising.foreign_files import MOST_CHARACTERS, ForeignConversation, ForeignTurn, Reason, Unusable, read_file
from web.organising.service import MOST_TAGS, tidy_tag

MOST_MIB = 20  # of a file
MOST_TURNS = 5_000  # that one import writes; the same file again goes on

Outcome = Literal["new", "grown", "known", "later"] | Reason

_EARLIEST = datetime.fromtimestamp(0, UTC)
_MILLISECOND_S = 0.002  # and a little, so that no rounding makes two the same
_MOST_MODEL_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one conversation of the file."""

    title: str
    outcome: Outcome
    id: str = ""  # empty: it is not there
    turns: int = 0  # that were written
    pictures: int = 0  # that were not brought along


class Importing:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def bring(self, user: User, data: bytes) -> list[Imported]:
        """In the order of the file. Raises ImportUnreadable: nothing was written."""
        rows = await asyncio.to_thread(read_file, data)
        outcomes: dict[int, Imported] = {}
        left = MOST_TURNS
        for at in sorted(range(len(rows)), key=lambda at: _begun(rows[at])):  # the last begun is the last used
            outcomes[at] = await self._bring_one(user, rows[at], left)
            left -= outcomes[at].turns
        return [outcomes[at] for at in range(len(rows))]

    async def _bring_one(self, user: User, row: ForeignConversation | Unusable, left: int) -> Imported:
        if isinstance(row, Unusable):
            return Imported(row.title, row.reason)
        title = title_of(_clean(row.title)) or title_of(row.turns[0].question)
        if row.source == "nunmal" and await self._get(user, row.key):
            return Imported(title, "known", row.key)
        ids = _ids(user, row)
        try:
            turns = _generations(user, row, ids)
        except MessageInvalid:
            return Imported(title, "shape")
        there = await self._store.generations.of_conversation(turns[0].conversation_id, user.id)
        known = {turn.id for turn in there}
        new = [turn for turn in turns if turn.id not in known]
        if len(new) > left:
            return Imported(title, "later")
        return await self._write(user, row, title, ids[row.leaf], turns, new)

    async def _write(
        self,
        user: User,
        row: ForeignConversation,
        title: str,
        leaf: str,
        turns: list[Generation],
        new: Sequence[Generation],
    ) -> Imported:
        """Missing turns, below a conversation that is there or new."""
        conversation_id = turns[0].conversation_id
        before = await self._get(user, conversation_id)
        conversations = self._store.conversations
        if before is None:
            await conversations.create(conversation_id, user.id, title, leaf, created_at=turns[0].created_at)
            await conversations.set_tags(conversation_id, user.id, _tags(row.tags))
        written = [await self._store.generations.add(turn) for turn in new]
        if before is not None and new and before.leaf_id in {turn.id for turn in turns}:  # not gone on with here
            await conversations.move_leaf(conversation_id, user.id, before.leaf_id, leaf)
        outcome: Outcome = "new" if before is None else "grown" if new else "known"
        return Imported(title, outcome, conversation_id, sum(written), row.pictures)

    async def _get(self, user: User, conversation_id: str) -> Conversation | None:
        return await self._store.conversations.get(conversation_id, user.id) if is_id(conversation_id) else None


def _generations(user: User, row: ForeignConversation, ids: dict[str, str]) -> list[Generation]:
    """A conversation bears the id of its first turn. Raises MessageInvalid."""
    return [
        Generation(
            id=ids[turn.key],
            conversation_id=ids[row.turns[0].key],
            user_id=user.id,
            parent_id=ids[turn.follows] if turn.follows is not None else None,
            question=tidy(_clean(turn.question), MOST_CHARACTERS),
            answer=tidy(_clean(turn.answer), MOST_CHARACTERS),
            lane=f"import.{_model(turn.model)}",
            state=GenerationState.DONE if turn.state == "done" and turn.answer else GenerationState.STOPPED,
            seed=0,
            tag=0.0,
            created_at=_asked_at(row, turn),
            finished_at=_asked_at(row, turn),
        )
        for turn in row.turns
    ]


def _ids(user: User, row: ForeignConversation) -> dict[str, str]:
    """By the turns' keys. They sort as the turns follow one another, whatever times the file tells."""
    begun, times, ids = row.created_at or row.turns[0].asked_at or _EARLIEST, dict[str | None, float](), {}
    for turn in row.turns:
        earliest = times.get(turn.follows, 0.0) + _MILLISECOND_S
        times[turn.key] = max(earliest, (turn.asked_at or begun).timestamp())
        name = "\0".join((user.id, row.source, row.key, turn.key))
        ids[turn.key] = derived_id(name.encode(errors="replace").decode(), times[turn.key])
    return ids


def _asked_at(row: ForeignConversation, turn: ForeignTurn) -> datetime:
    return turn.asked_at or row.created_at or datetime.now(UTC)


def _begun(row: ForeignConversation | Unusable) -> datetime:
    return _EARLIEST if isinstance(row, Unusable) else row.created_at or row.turns[0].asked_at or _EARLIEST


def _clean(text: str) -> str:
    """Without what no page of ours would have taken."""
    return text.encode(errors="ignore").decode().replace("\0", "")


def _model(name: str) -> str:
    kept = "".join(each for each in name if each.isascii() and (each.isalnum() or each in "-_.:/"))
    return kept[:_MOST_MODEL_CHARACTERS] or "import"


def _tags(names: Sequence[str]) -> list[str]:
    tags = []
    for name in names:
        try:
            tags.append(tidy_tag(name))
        except InputError:
            continue
    return list(dict.fromkeys(tags))[:MOST_TAGS]
