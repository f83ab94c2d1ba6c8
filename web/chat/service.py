"""What people can do with conversations. No HTTP here: values in, values or errors out.

A question is written before anything else happens to it, and its permit is published after. The branch's leaf is
moved with compare-and-set, so of two questions asked at once in two tabs exactly one wins (asking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.chat import Conversation, ConversationSettings, Generation, GenerationState, PictureRef, User
from shared.conversation_errors import TooManyHeld
from shared.errors import MessageInvalid, NotFound
from shared.ids import is_id, new_id
from shared.store import Store
from web.cancellation import Cancellation
from web.chat.asking import Asking, Chosen
from web.chat.drafts import Drafts, tidy_question
from web.chat.hub import Hub
from web.chat.titles import title_of
from web.chat.tree import Tree
from web.forms import tidy

MOST_HELD = 5


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """A conversation and all its turns."""

    conversation: Conversation
    tree: Tree

    @property
    def turns(self) -> list[Generation]:
        """Of the visible branch, first to last."""
        return self.tree.path(self.conversation.leaf_id)

    def turn(self, turn_id: str) -> Generation:
        """Of any branch. Raises NotFound."""
        if (turn := self.tree.get(turn_id)) is None:
            raise NotFound
        return turn


class ChatService:
    """The use cases. `most_chars`: of one message."""

    def __init__(
        self,
        store: Store,
        asking: Asking,
        drafts: Drafts,
        cancellation: Cancellation,
        hub: Hub,
        *,
        most_chars: int,
    ) -> None:
        self._store = store
        self._asking = asking
        self._drafts = drafts
        self._cancellation = cancellation
        self._hub = hub
        self._most_chars = most_chars

    async def list(self, user: User) -> list[Conversation]:
        return await self._store.conversations.latest(user.id)

    async def open(self, user: User, conversation_id: str) -> OpenConversation:
        """Raises NotFound, for a foreign conversation too."""
        conversation = await self._get(user, conversation_id)
        return OpenConversation(conversation, await self._tree(conversation))

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
        chosen: Chosen | None = None,
        *,
        may_wait: bool = False,
    ) -> Generation:
        """Ask a question, in a new conversation if `conversation_id` is None, beside `pictures` that were taken for it
        (web/pictures/service.py). `chosen`: how it and those after it are answered; None: as before.
        If it `may_wait`, it is held while the answer before it is not finished.

        Raises TooManyHeld, MessageEmpty, MessageTooLong, MessageInvalid, NotFound, AdapterVersionUnknown; and what
        Asking.ask does.
        """
        question = tidy_question(message, self._most_chars)
        generation_id = generation_id or new_id()
        if not is_id(generation_id):
            raise MessageInvalid
        conversation = await self._get(user, conversation_id) if conversation_id else None
        chosen = chosen or Chosen.of(conversation)
        draft = await self._drafts.new(user, conversation, chosen, question, pictures, generation_id=generation_id)
        if may_wait and conversation and (waiting := await self._unfinished(conversation)):
            if sum(turn.state is GenerationState.HELD for turn in waiting) >= MOST_HELD:
                raise TooManyHeld(limit=MOST_HELD)
            return await self._asking.hold(draft, conversation, chosen)
        return await self._asking.ask(draft, conversation, chosen)

    async def stop(self, user: User, conversation_id: str) -> None:
        """Stop the answer that is being written, or whose turn comes first. Raises NotFound."""
        conversation = await self._get(user, conversation_id)
        for turn in (await self._unfinished(conversation))[:1]:
            await self._cancellation.cancel(user.id, turn.id)

    async def rename(self, user: User, conversation_id: str, title: str) -> None:
        """An empty title changes nothing. Raises NotFound, MessageInvalid."""
        title = tidy(title, self._most_chars)
        if len(title) > self._most_chars:
            raise MessageInvalid
        title = title_of(title)
        await self._get(user, conversation_id)
        if title:
            await self._store.conversations.rename(conversation_id, user.id, title)

    async def reset_settings(self, user: User, conversation_id: str) -> None:
        """Its next questions are answered with the defaults, and no adapter. Raises NotFound."""
        await self._get(user, conversation_id)
        await self._store.conversations.choose(conversation_id, user.id, "", ConversationSettings())

    async def delete(self, user: User, conversation_id: str) -> None:
        """Stop what runs, then forget the conversation and its turns. Raises NotFound."""
        await self._get(user, conversation_id)
        for turn in await self._store.generations.of_conversation(conversation_id, user.id):
            if not turn.state.is_final:
                await self._cancellation.cancel(user.id, turn.id)
        await self._store.shares.remove_of(conversation_id)
        await self._store.conversations.delete(conversation_id, user.id)
        await self._store.personal.remove_turns({"conversation_id": conversation_id})

    async def _tree(self, conversation: Conversation) -> Tree:
        return Tree(await self._store.generations.of_conversation(conversation.id, conversation.user_id))

    async def _unfinished(self, conversation: Conversation) -> Sequence[Generation]:
        """Of the visible branch, first to last."""
        path = (await self._tree(conversation)).path(conversation.leaf_id)
        return [turn for turn in path if not turn.state.is_final]

    async def _get(self, user: User, conversation_id: str) -> Conversation:
        found = await self._store.conversations.get(conversation_id, user.id) if is_id(conversation_id) else None
        if found is None:
            raise NotFound
        return found
