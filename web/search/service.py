"""Finding turns of one's own conversations by words, however they are inflected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.chat import Conversation, Generation, User
from shared.store import Store
from shared.store.search import Entry
from shared.text.analyser import Analyser
from web.search.indexing import Indexing
from web.search.passages import Piece, passage, plain
from web.search.query import Query, query_of, words_of

PER_PAGE = 10  # conversations
MOST_TURNS = 400  # that are looked through, the last first

_PER_CONVERSATION = 3  # turns
_CATCH_UP = 40  # turns that are made findable before the search; they take about a second


@dataclass(frozen=True, slots=True)
class FoundTurn:
    id: str
    asked_at: datetime
    question: list[Piece]  # empty: nothing was found in it; the answer too
    answer: list[Piece]


@dataclass(frozen=True, slots=True)
class FoundConversation:
    conversation: Conversation
    turns: list[FoundTurn]
    count: int  # of turns that were found, also those that are not shown


@dataclass(frozen=True, slots=True)
class Results:
    conversations: list[FoundConversation]
    count: int  # of conversations, on all pages
    pages: int
    is_cut: bool  # older turns may match too
    is_behind: bool  # some turns cannot be found yet


class SearchService:
    def __init__(self, store: Store, analyser: Analyser) -> None:
        self._store = store
        self._analyser = analyser
        self.indexing = Indexing(store, analyser)

    async def close(self) -> None:
        await self._analyser.close()

    async def find(self, user: User, text: str, page: int) -> Results | None:
        """None if nothing is asked. `page`: from 1.

        Raises SearchTooLong, SearchTooShort, MessageInvalid, SearchUnavailable."""
        words = words_of(text)
        if not words:
            return None
        is_behind = await self.indexing.some(user.id, _CATCH_UP)
        query = query_of(words, await self._analyser.stems(words))
        entries = await self._store.search.matching(user.id, query.patterns, MOST_TURNS)
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(entry.conversation_id, []).append(entry)
        shown = list(groups.values())[(page - 1) * PER_PAGE : page * PER_PAGE]
        return Results(
            await self._found(user, shown, query),
            len(groups),
            -(-len(groups) // PER_PAGE),
            len(entries) == MOST_TURNS,
            is_behind,
        )

    async def _found(self, user: User, groups: list[list[Entry]], query: Query) -> list[FoundConversation]:
        ids = [entry.turn_id for group in groups for entry in group[:_PER_CONVERSATION]]
        turns = await self._store.generations.get_many(ids)
        shown = await self._passages([turns[turn_id] for turn_id in ids if turn_id in turns], query)
        found = []
        for group in groups:
            conversation = await self._store.conversations.get(group[0].conversation_id, user.id)
            some = [shown[entry.turn_id] for entry in group if entry.turn_id in shown]
            if conversation is not None and some:  # else removed at this moment
                found.append(FoundConversation(conversation, some, len(group)))
        return found

    async def _passages(self, turns: Sequence[Generation], query: Query) -> dict[str, FoundTurn]:
        texts = [text for turn in turns for text in (plain(turn.question), plain(turn.answer))]
        stems = await self._analyser.stems(texts)
        pieces = [passage(*each, query) for each in zip(texts, stems, strict=True)]
        return {
            turn.id: FoundTurn(turn.id, turn.created_at, pieces[2 * at], pieces[2 * at + 1])
            for at, turn in enumerate(turns)
        }
