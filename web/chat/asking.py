"""How a turn gets into a conversation: admitted, made its leaf with compare-and-set, its permit sent; or not at all.

A draft's `parent_id` says what it follows, which need not be the leaf that it takes the place of: a question asked anew
follows what the first one followed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from shared.chat import Conversation, ConversationSettings, Generation, GenerationState
from shared.errors import Busy, LimitReached, NotFound, QueueFull
from shared.store import Store
from shared.telemetry import fields
from web.cancellation import Cancellation
from web.chat.admission import Admission
from web.chat.titles import title_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a conversation's next questions are answered with."""

    adapter: str = ""  # its name
    settings: ConversationSettings = field(default_factory=ConversationSettings)

    @staticmethod
    def of(conversation: Conversation | None) -> Chosen:
        return Chosen(conversation.adapter, conversation.settings) if conversation else Chosen()


class Asking:
    def __init__(self, store: Store, admission: Admission, cancellation: Cancellation) -> None:
        self._store = store
        self._admission = admission
        self._cancellation = cancellation
        self._asking: set[asyncio.Task[Generation]] = set()

    async def close(self) -> None:
        """Wait for questions whose browsers have already gone."""
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def ask(self, draft: Generation, conversation: Conversation | None, chosen: Chosen) -> Generation:
        """Ask `draft` as the new leaf of its conversation, which it begins if that is None, and which goes on with what
        was `chosen`. The same id twice is one question. Once begun it is carried through, even if the caller is
        cancelled (the browser left).

        Raises: NotFound: the id is of somebody else's question, or of another conversation
                Busy: the leaf is not finished, or another question was quicker
                LimitReached, QueueFull: nothing was kept
        """
        return await self._carry_through(self._ask(draft, conversation, chosen))

    async def hold(self, draft: Generation, conversation: Conversation, chosen: Chosen) -> Generation:
        """Keep `draft` as the new leaf until the one before it is finished (held.py). Raises NotFound, Busy."""
        return await self._carry_through(self._hold(replace(draft, state=GenerationState.HELD), conversation, chosen))

    async def _carry_through(self, asking: Coroutine[Any, Any, Generation]) -> Generation:
        task = asyncio.create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asked)
        return await asyncio.shield(task)

    def _asked(self, task: asyncio.Task[Generation]) -> None:
        """The caller may be gone: nobody else would look at the outcome."""
        self._asking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("question_refused", extra=fields(reason=type(error).__name__))

    async def _ask(self, draft: Generation, conversation: Conversation | None, chosen: Chosen) -> Generation:
        leaf_id = conversation.leaf_id if conversation else None
        length = len(draft.question) + len(draft.answer)
        try:
            turn = await self._admission.admit(draft, length, provided=self._require_idle(leaf_id))
        except (Busy, LimitReached, QueueFull):
            if earlier := await self._earlier(draft):
                return earlier
            raise
        if turn is None:
            return await self._earlier(draft) or draft  # deleted meanwhile
        placed, sent = await asyncio.gather(
            self._place(turn, leaf_id, chosen), self._admission.send_permit(turn), return_exceptions=True
        )
        if isinstance(placed, BaseException):
            raise placed
        if isinstance(sent, BaseException):
            await self._unplace(turn, leaf_id)
            raise sent
        if conversation:
            await self._choose(conversation, chosen)
        return turn

    async def _hold(self, turn: Generation, conversation: Conversation, chosen: Chosen) -> Generation:
        if not await self._store.generations.add(turn):
            return await self._earlier(turn) or turn
        if not await self._store.conversations.move_leaf(conversation.id, turn.user_id, conversation.leaf_id, turn.id):
            await self._cancellation.cancel(turn.user_id, turn.id)
            await self._store.personal.remove_turns({"_id": turn.id, "attempt": 0})
            raise Busy
        await self._choose(conversation, chosen)
        return turn

    async def _choose(self, conversation: Conversation, chosen: Chosen) -> None:
        if chosen != Chosen.of(conversation):
            await self._store.conversations.choose(
                conversation.id, conversation.user_id, chosen.adapter, chosen.settings
            )

    async def _require_idle(self, leaf_id: str | None) -> None:
        """Raises Busy while the conversation's last answer is not finished."""
        leaf = await self._store.generations.get(leaf_id) if leaf_id else None
        if leaf is not None and not leaf.state.is_final:
            raise Busy

    async def _earlier(self, draft: Generation) -> Generation | None:
        """The same question, sent before. Raises NotFound if it is somebody else's or of another conversation."""
        earlier = await self._store.generations.get(draft.id)
        if earlier is None:
            return None
        if earlier.user_id != draft.user_id or earlier.conversation_id != draft.conversation_id:
            raise NotFound
        if _begins_conversation(earlier):
            await self._begin(earlier, Chosen())
        return earlier

    async def _place(self, turn: Generation, leaf_id: str | None, chosen: Chosen) -> None:
        """Make it the end of its conversation. Raises Busy, and takes it back, if another question was quicker."""
        if _begins_conversation(turn):
            await self._begin(turn, chosen)
        elif not await self._store.conversations.move_leaf(turn.conversation_id, turn.user_id, leaf_id, turn.id):
            if not await self._admission.withdraw(turn):
                await self._cancellation.cancel(turn.user_id, turn.id)
            raise Busy

    async def _begin(self, turn: Generation, chosen: Chosen) -> None:
        await self._store.conversations.create(
            *(turn.conversation_id, turn.user_id, title_of(turn.question), turn.id), chosen.adapter, chosen.settings
        )

    async def _unplace(self, turn: Generation, leaf_id: str | None) -> None:
        """Its permit was refused and it is gone."""
        conversations = self._store.conversations
        if _begins_conversation(turn):
            await conversations.delete(turn.conversation_id, turn.user_id)
        elif leaf_id is not None:
            await conversations.move_leaf(turn.conversation_id, turn.user_id, turn.id, leaf_id)


def _begins_conversation(turn: Generation) -> bool:
    """A conversation bears the id of its first turn, so that the same first question twice is one conversation."""
    return turn.conversation_id == turn.id
