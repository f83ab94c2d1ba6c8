"""Turns that are about to be asked."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from shared.chat import Conversation, Generation, GenerationState, PictureRef, User
from shared.errors import MessageEmpty, MessageTooLong
from shared.ids import new_id
from shared.prompting import system_text
from web.chat.asking import Chosen
from web.chat.choice import AdapterChoice
from web.forms import tidy


def tidy_question(message: str, most_chars: int) -> str:
    """Raises MessageEmpty, MessageTooLong, MessageInvalid."""
    question = tidy(message, most_chars).strip("\n")
    if not question.strip():
        raise MessageEmpty
    if len(question) > most_chars:
        raise MessageTooLong(length=len(question), limit=most_chars)
    return question


class Drafts:
    """`lane`: where questions are queued."""

    def __init__(self, choice: AdapterChoice, lane: str) -> None:
        self._choice = choice
        self._lane = lane

    async def new(
        self,
        user: User,
        conversation: Conversation | None,
        chosen: Chosen,
        question: str,
        pictures: tuple[PictureRef, ...] = (),
        *,
        generation_id: str = "",
    ) -> Generation:
        """A question that follows the leaf. Raises AdapterVersionUnknown, StoreUnavailable."""
        generation_id = generation_id or new_id()
        conversation_id = conversation.id if conversation else generation_id
        return Generation(
            id=generation_id,
            conversation_id=conversation_id,
            user_id=user.id,
            parent_id=conversation.leaf_id if conversation else None,
            question=question,
            lane=self._lane,
            state=GenerationState.QUEUED,
            seed=secrets.randbits(63),
            tag=0.0,
            created_at=datetime.now(UTC),
            pictures=pictures,
            sampling=chosen.settings.sampling,
            adapter=await self._choice.version(chosen.adapter, conversation_id) if chosen.adapter else None,
            system=system_text(chosen.settings),
            pins=conversation.pins if conversation else (),
        )

    async def anew(self, user: User, conversation: Conversation, turn: Generation, question: str = "") -> Generation:
        """A sibling of `turn`: the same question, or another one beside the same pictures, answered as the conversation
        is now. Raises AdapterVersionUnknown, StoreUnavailable."""
        draft = await self.new(user, conversation, Chosen.of(conversation), question or turn.question, turn.pictures)
        return replace(draft, parent_id=turn.parent_id)
