"""Passwords: at least 12 characters, at most 72 bytes, bcrypt in a thread.

bcrypt reads 72 bytes and no more, which is 24 syllables of Hangul. Instead of hashing twice or cutting in
silence, a longer password is refused with a sentence, at sign-up and at log-in.
"""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from collections.abc import AsyncIterator

import bcrypt

from shared.errors import PasswordTooLong, PasswordTooShort, TooBusy

LEAST_CHARACTERS = 12
MOST_BYTES = 72
_BYTES_PER_SYLLABLE = 3
_INVISIBLE = "\u115f\u1160\u2800\u3164\uffa0"  # fillers of Hangul, the blank of Braille: letters by their category
_AT_ONCE = 2  # hashes computed at the same time; each keeps a core busy
_MOST_WAITING = 50  # for their turn; at 0.25 s each the last waits 6 s
_RETRY_AFTER_S = 10.0


class Passwords:
    """Hashes and checks. `rounds`: cost, 2**rounds. Passwords come NFC-normalised."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._reference_hash: bytes | None = None

    async def hash(self, password: str) -> bytes:
        """Raises PasswordTooShort, PasswordTooLong, TooBusy."""
        check_length(password)
        async with self._turn():
            return await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self._rounds))

    def has_todays_cost(self, password_hash: bytes) -> bool:
        """Whether a new hash would be as dear."""
        return password_hash[4:6] == f"{self._rounds:02d}".encode()

    async def hash_again(self, password: str) -> bytes:
        """Of one that was right: rules that came later do not shut it out. Raises TooBusy."""
        async with self._turn():
            return await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self._rounds))

    async def is_correct(self, password: str, password_hash: bytes | None) -> bool:
        """False after the same time when there is no such account (`password_hash` is None).

        Raises PasswordTooLong, TooBusy.
        """
        encoded = check_bytes(password)
        async with self._turn():
            if self._reference_hash is None:
                self._reference_hash = await asyncio.to_thread(
                    bcrypt.hashpw, b"nobody's password", bcrypt.gensalt(self._rounds)
                )
            expected = self._reference_hash if password_hash is None else password_hash
            matches = await asyncio.to_thread(bcrypt.checkpw, encoded, expected)
        return matches and password_hash is not None

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises TooBusy if too many wait for theirs."""
        if self._waiting >= _MOST_WAITING:
            raise TooBusy(retry_after_s=_RETRY_AFTER_S)
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


def check_length(password: str) -> None:
    """Raises PasswordTooShort, PasswordTooLong."""
    if _counted(password) < LEAST_CHARACTERS:
        raise PasswordTooShort(limit=LEAST_CHARACTERS)
    check_bytes(password)


def _counted(password: str) -> int:
    """Characters, where several blanks in a row are one, and none at either end counts."""
    seen = (" " if _is_blank(character) else character for character in password)
    return len(" ".join("".join(seen).split()))


def _is_blank(character: str) -> bool:
    """Nothing that can be seen: spaces, controls, invisible letters."""
    return unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf") or character in _INVISIBLE


def check_bytes(password: str) -> bytes:
    """The password as bcrypt reads it. Raises PasswordTooLong."""
    encoded = password.encode()
    if len(encoded) > MOST_BYTES:
        raise PasswordTooLong(limit=MOST_BYTES, syllables=MOST_BYTES // _BYTES_PER_SYLLABLE)
    return encoded
