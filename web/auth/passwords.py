"""Passwords: at least 12 characters, at most 72 bytes, bcrypt in a thread.

bcrypt reads 72 bytes and no more, which is 24 syllables of Hangul. Instead of hashing twice or cutting in
silence, a longer password is refused with a sentence, at sign-up and at log-in.
"""

from __future__ import annotations

import asyncio

import bcrypt

from shared.errors import PasswordTooLong, PasswordTooShort

LEAST_CHARACTERS = 12
MOST_BYTES = 72
_BYTES_PER_SYLLABLE = 3
_AT_ONCE = 2  # hashes computed at the same time; each keeps a core busy


class Passwords:
    """Hashes and checks. `rounds`: cost, 2**rounds. Passwords come NFC-normalised."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._reference_hash: bytes | None = None

    async def hash(self, password: str) -> bytes:
        """Raises PasswordTooShort, PasswordTooLong."""
        check_length(password)
        async with self._turns:
            return await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self._rounds))

    async def is_correct(self, password: str, password_hash: bytes | None) -> bool:
        """False after the same time when there is no such account (`password_hash` is None).

        Raises PasswordTooLong.
        """
        encoded = check_bytes(password)
        async with self._turns:
            if self._reference_hash is None:
                self._reference_hash = await asyncio.to_thread(
                    bcrypt.hashpw, b"nobody's password", bcrypt.gensalt(self._rounds)
                )
            expected = self._reference_hash if password_hash is None else password_hash
            matches = await asyncio.to_thread(bcrypt.checkpw, encoded, expected)
        return matches and password_hash is not None


def check_length(password: str) -> None:
    """Raises PasswordTooShort, PasswordTooLong."""
    if len(password) < LEAST_CHARACTERS:
        raise PasswordTooShort(limit=LEAST_CHARACTERS)
    check_bytes(password)


def check_bytes(password: str) -> bytes:
    """The password as bcrypt reads it. Raises PasswordTooLong."""
    encoded = password.encode()
    if len(encoded) > MOST_BYTES:
        raise PasswordTooLong(limit=MOST_BYTES, syllables=MOST_BYTES // _BYTES_PER_SYLLABLE)
    return encoded
