"""Sharing a conversation: a snapshot of its visible branch behind a link that can be taken back. No HTTP here."""

from __future__ import annotations

from shared.chat import User
from shared.errors import NotFound
from shared.organising_errors import NothingToShare, ShareTooLarge, TooManyShares
from shared.store import Store
from shared.store.shares import Share, Snapshot
from web.chat.service import ChatService

MOST_SHARES = 100  # links of one person
_MOST_BYTES = 8 << 20  # of a snapshot's text
_MIB = 1 << 20


class Sharing:
    def __init__(self, store: Store, chat: ChatService) -> None:
        self._store = store
        self._chat = chat

    async def share(self, user: User, conversation_id: str) -> str:
        """The new link's token, which nobody can read again. What is still being answered is left out.

        Raises NotFound, NothingToShare, ShareTooLarge, TooManyShares."""
        opened = await self._chat.open(user, conversation_id)
        turns = [turn for turn in opened.turns if turn.state.is_final]
        if not turns:
            raise NothingToShare
        if sum(len(turn.question.encode()) + len(turn.answer.encode()) for turn in turns) > _MOST_BYTES:
            raise ShareTooLarge(limit_mib=_MOST_BYTES // _MIB)
        if len(await self._store.shares.of_user(user.id)) >= MOST_SHARES:
            raise TooManyShares(limit=MOST_SHARES)
        return await self._store.shares.add(user.id, conversation_id, opened.conversation.title, turns)

    async def links(self, user: User) -> list[Share]:
        return await self._store.shares.of_user(user.id)

    async def revoke(self, user: User, share_id: str) -> None:
        """Raises NotFound."""
        if not await self._store.shares.revoke(share_id, user.id):
            raise NotFound

    async def open(self, token: str) -> Snapshot:
        """For anybody. Raises NotFound."""
        snapshot = await self._store.shares.open(token)
        if snapshot is None:
            raise NotFound
        return snapshot

    async def picture(self, token: str, picture_id: str) -> bytes:
        """One that the snapshot shows. Raises NotFound."""
        snapshot = await self.open(token)
        shown = {picture.id: picture.sha256 for turn in snapshot.turns for picture in turn.pictures}
        data = await self._store.blobs.get(shown[picture_id]) if picture_id in shown else None
        if data is None:
            raise NotFound
        return data
