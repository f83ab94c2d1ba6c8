"""What people can do with conversations. No HTTP here: values in, values or errors out.

A question is written before anything else happens to it, and its permit is published after. The branch's leaf is
moved with compare-and-set, so of two questions asked at once in two tabs exactly one wins.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.chat import Conversation, Generation, GenerationState, PictureRef, User
from shared.errors import (
    Busy,
    LimitReached,
    MessageEmpty,
    MessageInvalid,
    MessageTooLong,
    NotFound,
    QueueFull,
)
from shared.ids import is_id, new_id
from shared.store import Store
from shared.telemetry import fields
from web.cancellation import Cancellation
from web.chat.admission import Admission
from web.chat.choice import AdapterChoice
from web.chat.hub import Hub
from web.chat.titles import title_of
from web.forms import tidy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """A conversation and the turns of its visible branch, first to last."""

    conversation: Conversation
    turns: list[Generation]


class ChatService:
    """The use cases. `lane`: where questions are queued. `most_chars`: of one message."""

    def __init__(
        self,
        store: Store,
        admission: Admission,
        cancellation: Cancellation,
        hub: Hub,
        choice: AdapterChoice,
        *,
        lane: str,
        most_chars: int,
    ) -> None:
        self._store = store
        self._admission = admission
        self._cancellation = cancellation
        self._hub = hub
        self._choice = choice
        self._lane = lane
        self._most_chars = most_chars
        self._asking: set[asyncio.Task[Generation]] = set()

    async def close(self) -> None:
        """Wait for questions whose browsers have already gone."""
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def list(self, user: User) -> list[Conversation]:
        return await self._store.conversations.latest(user.id)

    async def open(self, user: User, conversation_id: str) -> OpenConversation:
        """Raises NotFound, for a foreign conversation too."""
        conversation = await self._get(user, conversation_id)
        turns = await self._store.generations.branch(conversation.leaf_id, user.id) if conversation.leaf_id else []
        return OpenConversation(conversation, turns)

    async def watchable(self, user: User, conversation_id: str, generation_id: str) -> None:
        """Raises NotFound unless this turn of this conversation is the user's."""
        generation = self._hub.known(generation_id)
        if generation is None and is_id(generation_id):
            generation = await self._store.generations.get(generation_id)
        if generation is None or generation.user_id != user.id or generation.conversation_id != conversation_id:
            raise NotFound

    async def branch(self, turn: Generation) -> Sequence[Generation]:
        """The turns that lead to this one, and it."""
        return await self._store.generations.branch(turn.id, turn.user_id)

    async def ask(
        self,
        user: User,
        conversation_id: str | None,
        generation_id: str,
        message: str,
        pictures: tuple[PictureRef, ...] = (),
        adapter: str | None = None,
    ) -> Generation:
        """Ask a question, in a new conversation if `conversation_id` is None, beside `pictures` that were taken for it
        (web/pictures/service.py). `adapter`: the name of the one that answers from now on, "" for none; None: as
        before. The same `generation_id` twice is one question. Once begun it is carried through, even if the caller is
        cancelled (the browser left).

        Raises: MessageEmpty, MessageTooLong, MessageInvalid, NotFound, AdapterVersionUnknown
                Busy: the conversation's last answer is not finished
                LimitReached, QueueFull: nothing was kept
        """
        question = tidy(message, self._most_chars).strip("\n")
        if not question.strip():
            raise MessageEmpty
        if len(question) > self._most_chars:
            raise MessageTooLong(length=len(question), limit=self._most_chars)
        generation_id = generation_id or new_id()
        if not is_id(generation_id):
            raise MessageInvalid
        task = asyncio.create_task(self._ask(user, conversation_id, generation_id, question, pictures, adapter))
        self._asking.add(task)
        task.add_done_callback(self._asked)
        return await asyncio.shield(task)

    async def stop(self, user: User, conversation_id: str) -> None:
        """Stop the conversation's last answer. Raises NotFound."""
        conversation = await self._get(user, conversation_id)
        if conversation.leaf_id:
            await self._cancellation.cancel(user.id, conversation.leaf_id)

    async def rename(self, user: User, conversation_id: str, title: str) -> None:
        """An empty title changes nothing. Raises NotFound, MessageInvalid."""
        title = tidy(title, self._most_chars)
        if len(title) > self._most_chars:
            raise MessageInvalid
        title = title_of(title)
        await self._get(user, conversation_id)
        if title:
            await self._store.conversations.rename(conversation_id, user.id, title)

    async def delete(self, user: User, conversation_id: str) -> None:
        """Stop what runs, then forget the conversation and its turns. Raises NotFound."""
        await self._get(user, conversation_id)
        for turn in await self._store.generations.of_conversation(conversation_id, user.id):
            if not turn.state.is_final:
                await self._cancellation.cancel(user.id, turn.id)
        await self._store.shares.remove_of(conversation_id)
        await self._store.conversations.delete(conversation_id, user.id)
        await self._store.personal.remove_turns({"conversation_id": conversation_id})

    async def _get(self, user: User, conversation_id: str) -> Conversation:
        found = await self._store.conversations.get(conversation_id, user.id) if is_id(conversation_id) else None
        if found is None:
            raise NotFound
        return found

    def _asked(self, task: asyncio.Task[Generation]) -> None:
        """The caller may be gone: nobody else would look at the outcome."""
        self._asking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("question_refused", extra=fields(reason=type(error).__name__))

    async def _ask(
        self,
        user: User,
        conversation_id: str | None,
        generation_id: str,
        question: str,
        pictures: tuple[PictureRef, ...],
        adapter: str | None,
    ) -> Generation:
        conversation = await self._get(user, conversation_id) if conversation_id else None
        before = conversation.adapter if conversation else ""
        chosen = before if adapter is None else adapter
        version = await self._choice.version(chosen, conversation_id or generation_id) if chosen else None
        draft = Generation(
            id=generation_id,
            conversation_id=conversation.id if conversation else generation_id,
            user_id=user.id,
            parent_id=conversation.leaf_id if conversation else None,
            question=question,
            lane=self._lane,
            state=GenerationState.QUEUED,
            seed=secrets.randbits(63),
            tag=0.0,
            created_at=datetime.now(UTC),
            pictures=pictures,
            adapter=version,
        )
        try:
            turn = await self._admission.admit(draft, len(question), provided=self._require_idle(conversation))
        except (Busy, LimitReached, QueueFull):
            if earlier := await self._earlier(user, draft):
                return earlier
            raise
        if turn is None:
            return await self._earlier(user, draft) or draft  # deleted meanwhile
        placed, sent = await asyncio.gather(
            self._place(turn, is_new=True, adapter=chosen), self._admission.send_permit(turn), return_exceptions=True
        )
        if isinstance(placed, BaseException):
            raise placed
        if isinstance(sent, BaseException):
            await self._unplace(turn)
            raise sent
        if conversation and chosen != before:
            await self._store.conversations.choose(turn.conversation_id, user.id, chosen)
        return turn

    async def _require_idle(self, conversation: Conversation | None) -> None:
        """Raises Busy while the conversation's last answer is not finished."""
        if conversation and conversation.leaf_id:
            leaf = await self._store.generations.get(conversation.leaf_id)
            if leaf is not None and not leaf.state.is_final:
                raise Busy

    async def _earlier(self, user: User, draft: Generation) -> Generation | None:
        """The same question, sent before. Raises NotFound if it is somebody else's or of another conversation."""
        earlier = await self._store.generations.get(draft.id)
        if earlier is None:
            return None
        if earlier.user_id != user.id or earlier.conversation_id != draft.conversation_id:
            raise NotFound
        await self._place(earlier, is_new=False)
        return earlier

    async def _place(self, turn: Generation, *, is_new: bool, adapter: str = "") -> None:
        """Make it the end of its conversation. Raises Busy, and takes it back, if another question was quicker."""
        conversations = self._store.conversations
        if _begins_conversation(turn):
            title = title_of(turn.question)
            await conversations.create(turn.conversation_id, turn.user_id, title, turn.id, adapter)
        elif is_new and not await conversations.move_leaf(turn.conversation_id, turn.user_id, turn.parent_id, turn.id):
            if not await self._admission.withdraw(turn):
                await self._cancellation.cancel(turn.user_id, turn.id)
            raise Busy

    async def _unplace(self, turn: Generation) -> None:
        """Its permit was refused and it is gone."""
        conversations = self._store.conversations
        if _begins_conversation(turn):
            await conversations.delete(turn.conversation_id, turn.user_id)
        else:
            assert turn.parent_id is not None  # only the first turn of a conversation has no parent
            await conversations.move_leaf(turn.conversation_id, turn.user_id, turn.id, turn.parent_id)


def _begins_conversation(turn: Generation) -> bool:
    """A conversation bears the id of its first turn, so that the same first question twice is one conversation."""
    return turn.conversation_id == turn.id
