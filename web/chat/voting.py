"""A person's votes on their own finished answers, and whether there is something to compare."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shared.chat import Conversation, Generation, User
from shared.conversation_errors import NothingToVoteOn, VoteReasonInvalid
from shared.metrics import VOTES
from shared.store import Store
from shared.topology import CHAT_JOBS
from shared.votes import MOST_WORDS_CHARACTERS, REASONS, Vote, VoteValue
from web.chat.service import ChatService
from web.forms import tidy


def may_be_voted_on(turn: Generation) -> bool:
    """Now or once it is over: it has words or will have, and a model that is served here writes them."""
    return turn.lane.startswith(f"{CHAT_JOBS}.") and (bool(turn.answer) or not turn.state.is_final)


class Voting:
    def __init__(self, store: Store, service: ChatService) -> None:
        self._store = store
        self._service = service

    async def of(self, conversation: Conversation) -> dict[str, Vote]:
        """By turn."""
        return await self._store.votes.of_conversation(conversation.id, conversation.user_id)

    async def can_compare(self) -> bool:
        """Two versions are offered for a blind comparison (web/comparing)."""
        return await self._store.pairings.is_any_offered()

    async def vote(
        self, user: User, conversation_id: str, turn_id: str, value: str, reasons: Iterable[str], words: str
    ) -> None:
        """In place of an earlier vote. Raises NotFound, NothingToVoteOn, VoteReasonInvalid, MessageInvalid."""
        turn = await self._turn(user, conversation_id, turn_id)
        if not turn.state.is_final or not may_be_voted_on(turn):
            raise NothingToVoteOn
        vote = VoteValue(value)
        chosen = set(reasons)
        words = tidy(words, MOST_WORDS_CHARACTERS).strip()
        if chosen - set(REASONS[vote]) or len(words) > MOST_WORDS_CHARACTERS:
            raise VoteReasonInvalid(limit=MOST_WORDS_CHARACTERS)
        model = turn.lane.partition(".")[2]
        await self._store.votes.put(
            Vote(
                turn_id=turn.id,
                conversation_id=turn.conversation_id,
                user_id=user.id,
                value=vote,
                reasons=tuple(reason for reason in REASONS[vote] if reason in chosen),
                words=words,
                model=model,
                model_digest=turn.model_digest,
                adapter=turn.adapter,
                voted_at=datetime.now(UTC),
            )
        )
        VOTES.labels(model, (turn.adapter or "").partition("@")[0], vote).inc()

    async def take_back(self, user: User, conversation_id: str, turn_id: str) -> None:
        """Raises NotFound."""
        turn = await self._turn(user, conversation_id, turn_id)
        await self._store.votes.take_back(turn.id, user.id)

    async def _turn(self, user: User, conversation_id: str, turn_id: str) -> Generation:
        return (await self._service.open(user, conversation_id)).turn(turn_id)
