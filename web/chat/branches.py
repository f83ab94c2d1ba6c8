"""What people can do with the turns of a conversation: ask and answer anew, go on, look at another branch, pin.

Nothing is overwritten. An edited question, another answer and a longer one are each a new turn beside the old one
(tree.py), asked like any question (asking.py).
"""

from __future__ import annotations

from shared.chat import Generation, GenerationState, User
from shared.conversation_errors import AlreadyAsked, NothingToContinue, TooManyPins
from shared.errors import Busy, NotFound, PictureUnknown
from shared.store import Store
from web.chat.asking import Asking, Chosen
from web.chat.continuing import can_go_on, continued
from web.chat.drafts import Drafts, tidy_question
from web.chat.service import ChatService

MOST_PINS = 20
_SHOW_TRIES = 5


class Branches:
    """Every call raises NotFound for turns that are not there, or not this person's."""

    def __init__(self, store: Store, chat: ChatService, asking: Asking, drafts: Drafts, *, most_chars: int) -> None:
        self._store = store
        self._chat = chat
        self._asking = asking
        self._drafts = drafts
        self._most_chars = most_chars

    async def edit(self, user: User, conversation_id: str, turn_id: str, message: str) -> Generation:
        """Ask this question in other words, beside the same pictures.

        Raises MessageEmpty, MessageTooLong, MessageInvalid, AdapterVersionUnknown, and what Asking.ask raises.
        """
        question = tidy_question(message, self._most_chars)
        return await self._anew(user, conversation_id, turn_id, question)

    async def regenerate(self, user: User, conversation_id: str, turn_id: str) -> Generation:
        """Answer the same question once more. Raises AdapterVersionUnknown, and what Asking.ask raises."""
        return await self._anew(user, conversation_id, turn_id)

    async def go_on(self, user: User, conversation_id: str, turn_id: str) -> Generation:
        """Go on with an answer that was stopped or cut. Raises NothingToContinue, and what Asking.ask raises."""
        opened = await self._chat.open(user, conversation_id)
        opened.turn(turn_id)
        turn = await self._store.generations.get(turn_id)  # with its token ids
        if turn is None:
            raise NotFound
        if not can_go_on(turn):
            raise NothingToContinue
        await self._keep_pictures(user, turn)
        return await self._asking.ask(continued(turn), opened.conversation, Chosen.of(opened.conversation))

    async def show(self, user: User, conversation_id: str, turn_id: str) -> None:
        """Show the branch through this turn that was used last. Raises Busy if others move it all the time."""
        for _ in range(_SHOW_TRIES):
            opened = await self._chat.open(user, conversation_id)
            leaf_id = opened.tree.latest_leaf(opened.turn(turn_id).id)
            now = opened.conversation.leaf_id
            if await self._store.conversations.move_leaf(conversation_id, user.id, now, leaf_id, is_use=False):
                return
        raise Busy

    async def pin(self, user: User, conversation_id: str, turn_id: str, *, is_pinned: bool) -> None:
        """Let this turn stay in the prompt of later questions however long the conversation grows, or no more.

        Raises TooManyPins.
        """
        opened = await self._chat.open(user, conversation_id)
        opened.turn(turn_id)
        others = [pinned for pinned in opened.conversation.pins if pinned != turn_id]
        if is_pinned and len(others) >= MOST_PINS:
            raise TooManyPins(limit=MOST_PINS)
        pins = [*others, turn_id] if is_pinned else others
        await self._store.conversations.pin(conversation_id, user.id, pins)

    async def take_back(self, user: User, conversation_id: str, turn_id: str) -> None:
        """A question that is held; those behind it wait for what it waited for. Raises AlreadyAsked, Busy."""
        opened = await self._chat.open(user, conversation_id)
        turn = opened.turn(turn_id)
        if turn.state is not GenerationState.HELD or turn.parent_id is None:
            raise AlreadyAsked
        for behind in opened.tree.below(turn.id):
            await self._store.generations.follow(behind, turn.parent_id)
        conversations = self._store.conversations
        was_last = opened.conversation.leaf_id == turn.id
        if was_last and not await conversations.move_leaf(conversation_id, user.id, turn.id, turn.parent_id):
            raise Busy
        await self._store.personal.remove_turns({"_id": turn.id, "state": str(GenerationState.HELD)})
        if await self._store.generations.get(turn.id) is not None:  # it was let into the lane just now
            if was_last:
                await conversations.move_leaf(conversation_id, user.id, turn.parent_id, turn.id)
            raise AlreadyAsked

    async def _anew(self, user: User, conversation_id: str, turn_id: str, question: str = "") -> Generation:
        opened = await self._chat.open(user, conversation_id)
        turn = opened.turn(turn_id)
        await self._keep_pictures(user, turn)
        draft = await self._drafts.anew(user, opened.conversation, turn, question)
        return await self._asking.ask(draft, opened.conversation, Chosen.of(opened.conversation))

    async def _keep_pictures(self, user: User, turn: Generation) -> None:
        """Until the new turn shows them too. Raises PictureUnknown."""
        ids = [picture.id for picture in turn.pictures]
        if ids and await self._store.pictures.take(ids, user.id) is None:
            raise PictureUnknown
