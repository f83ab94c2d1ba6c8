"""Sign-up, log-in and log-out as use cases: no HTTP here."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta

from shared.chat import AccountRole, User
from shared.errors import EmailInvalid, LoginFailed, MessageInvalid, NameInvalid
from shared.store import Store
from web.auth.passwords import MOST_BYTES, Passwords, check_bytes, check_length
from web.forms import tidy
from web.session_token import new_token

MOST_EMAIL_CHARACTERS = 254
MOST_NAME_CHARACTERS = 40

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_JOINERS = "\u200c\u200d"  # part of some names and emoji


class Accounts:
    """People and their sessions. A session token is returned once and stored only as its hash."""

    def __init__(self, store: Store, passwords: Passwords, session_days: int) -> None:
        self._store = store
        self._passwords = passwords
        self._lifetime = timedelta(days=session_days)

    async def sign_up(self, email: str, name: str, password: str) -> User:
        """Raises EmailInvalid, EmailTaken, NameInvalid, PasswordTooShort, PasswordTooLong, MessageInvalid."""
        email, name, password = normal_email(email), normal_name(name), tidy(password, MOST_BYTES)
        check_length(password)
        password_hash = await self._passwords.hash(password)
        return await self._store.users.create(email, name, password_hash, AccountRole.USER)

    async def log_in(self, email: str, password: str) -> User:
        """Raises LoginFailed (whatever was wrong, after the same time), PasswordTooLong, MessageInvalid."""
        password = tidy(password, MOST_BYTES)
        check_bytes(password)
        try:
            credentials = await self._store.users.credentials(normal_email(email))
        except EmailInvalid:
            credentials = None
        password_hash = credentials.password_hash if credentials else None
        if not await self._passwords.is_correct(password, password_hash) or credentials is None:
            raise LoginFailed
        return credentials.user

    async def open_session(self, user: User, replacing: str) -> str:
        """A new session token; the one the browser came with (`replacing`) is worth nothing from now on."""
        token = new_token(user.id)
        await self._store.sessions.create(token, user.id, self._lifetime)
        if replacing:
            await self._store.sessions.revoke(replacing)
        await self._store.sessions.sweep()
        return token

    async def close_session(self, token: str) -> None:
        await self._store.sessions.revoke(token)


def normal_email(text: str) -> str:
    """As it is compared: NFC, lower case, no space around it. Raises EmailInvalid."""
    try:
        email = tidy(text, MOST_EMAIL_CHARACTERS).strip().lower()
    except MessageInvalid as error:
        raise EmailInvalid from error
    if len(email) > MOST_EMAIL_CHARACTERS or not _EMAIL.fullmatch(email) or not email.isprintable():
        raise EmailInvalid
    return email


def normal_name(text: str) -> str:
    """NFC, single spaces, 1 to 40 characters. Raises NameInvalid."""
    try:
        name = " ".join(tidy(text, MOST_NAME_CHARACTERS).split(" ")).strip()
    except MessageInvalid as error:
        raise NameInvalid(limit=MOST_NAME_CHARACTERS) from error
    if not 1 <= len(name) <= MOST_NAME_CHARACTERS or any(_is_control(character) for character in name):
        raise NameInvalid(limit=MOST_NAME_CHARACTERS)
    return name


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Cn", "Zl", "Zp") or (category == "Cf" and character not in _JOINERS)
