"""Letters that tell the owner of an account what was changed in it, so that they notice if it was somebody else."""

from __future__ import annotations

from shared.chat import User
from web.mail import Letter, Outbox
from web.words import Words


class AccountLetters:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def tell(self, user: User, words: Words, sentence: str) -> None:
        """In the background; nothing where no mail is set up. `sentence`: what was changed."""

        async def letter() -> Letter:
            return Letter(user.email, words("mail.notice_subject"), words("mail.notice", sentence=sentence))

        self._outbox.post(letter)

    def farewell(self, user: User, words: Words) -> None:
        """The account is gone; the same in all else."""

        async def letter() -> Letter:
            return Letter(user.email, words("mail.deleted_subject"), words("mail.deleted"))

        self._outbox.post(letter)
