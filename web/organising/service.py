"""What people do with many conversations at once: look through them, tag them, remove them. No HTTP here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.chat import Conversation, User
from shared.errors import NotFound
from shared.ids import is_id
from shared.organising_errors import NothingChosen, TagInvalid, TooManyTags
from shared.store import Store
from shared.store.leftovers import unique
from web.chat.service import ChatService
from web.forms import tidy

PER_PAGE = 20  # a form has at most 32 fields
MOST_TAGS = 5  # of one conversation
MOST_TAG_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page of conversations, of those with one tag or of all."""

    conversations: list[Conversation]
    tags: list[str]  # all that this person gave
    count: int
    pages: int


class LibraryService:
    def __init__(self, store: Store, chat: ChatService) -> None:
        self._store = store
        self._chat = chat

    async def shelf(self, user: User, tag: str, page: int) -> Shelf:
        """`page`: from 1."""
        conversations = self._store.conversations
        count = await conversations.count(user.id, tag)
        shown = await conversations.some(user.id, tag, (page - 1) * PER_PAGE, PER_PAGE)
        return Shelf(shown, await conversations.tags(user.id), count, -(-count // PER_PAGE))

    async def chosen(self, user: User, ids: Sequence[str]) -> list[Conversation]:
        """Those of them that are this person's and still there. Raises NothingChosen."""
        found = [await self._store.conversations.get(each, user.id) for each in dict.fromkeys(ids) if is_id(each)]
        chosen = [conversation for conversation in found if conversation is not None]
        if not chosen:
            raise NothingChosen
        return chosen

    async def tag(self, user: User, ids: Sequence[str], text: str) -> None:
        """All of them or none. Raises TagInvalid, TooManyTags, NothingChosen, MessageInvalid."""
        tag, chosen = tidy_tag(text), await self.chosen(user, ids)
        if any(len({*conversation.tags, tag}) > MOST_TAGS for conversation in chosen):
            raise TooManyTags(limit=MOST_TAGS)
        for conversation in chosen:
            await self._store.conversations.set_tags(conversation.id, user.id, unique([*conversation.tags, tag]))

    async def untag(self, user: User, ids: Sequence[str], text: str) -> None:
        """Raises TagInvalid, NothingChosen, MessageInvalid."""
        tag = tidy_tag(text)
        for conversation in await self.chosen(user, ids):
            kept = [each for each in conversation.tags if each != tag]
            await self._store.conversations.set_tags(conversation.id, user.id, kept)

    async def delete(self, user: User, ids: Sequence[str]) -> None:
        """What runs is stopped first. Raises NothingChosen."""
        for conversation in await self.chosen(user, ids):
            try:
                await self._chat.delete(user, conversation.id)
            except NotFound:  # removed meanwhile, in another tab
                continue


def tidy_tag(text: str) -> str:
    """Raises TagInvalid, MessageInvalid."""
    tag = " ".join(tidy(text, MOST_TAG_CHARACTERS).replace("#", " ").split())
    if not tag or len(tag) > MOST_TAG_CHARACTERS:
        raise TagInvalid(limit=MOST_TAG_CHARACTERS)
    return tag
