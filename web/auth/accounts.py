"""Sign-up, log-in, log-out and changes to one's own account as use cases: no HTTP here."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.chat import AccountRole, User
from shared.errors import (
    EmailInvalid,
    InputError,
    LoginFailed,
    MessageInvalid,
    NameInvalid,
    NotFound,
    PasswordGuessable,
    PasswordWrong,
    TooBusy,
)
from shared.store import Store
from shared.store.sessions import Session
from shared.store.users import Credentials
from web.auth.guessable import is_guessable
from web.auth.known_devices import KnownDevices
from web.auth.passwords import MOST_BYTES, Passwords, check_bytes, check_length
from web.auth.second_step import SecondStepService
from web.auth.session_limits import SessionLimits
from web.auth.throttling import SIGN_UP, Throttling
from web.forms import tidy
from web.security_log import SecurityEvent, note
from web.session_token import new_token

MOST_EMAIL_CHARACTERS = 254
MOST_NAME_CHARACTERS = 40

_JUST = timedelta(minutes=10)
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_JOINERS = "\u200c\u200d"  # part of some names and emoji

# What is counted apart: who guesses at one door does not close another one for the account's owner.
_LOG_IN = "log-in"
_OWN_PASSWORD = "password"  # noqa: S105 - the name of a counter


@dataclass(frozen=True, slots=True)
class Client:
    """The browser and where it is; `device`: its cookie of known_devices.py, if it has one."""

    address: str
    user_agent: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class LogIn:
    """The password was right. `half_way`: what to come back with, beside a code; "" if there is no second step."""

    user: User
    half_way: str = ""


class Accounts:
    """People and their sessions. A session token is returned once and stored only as its hash."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        throttling: Throttling,
        second_step: SecondStepService,
        devices: KnownDevices,
        session_limits: SessionLimits,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._throttling = throttling
        self._second_step = second_step
        self._devices = devices
        self._session_limits = session_limits

    async def sign_up(self, email: str, name: str, password: str, client: Client) -> User:
        """Raises EmailInvalid, EmailTaken, NameInvalid, TooManyTries, and what new_password raises."""
        email, name = normal_email(email), normal_name(name)
        password = new_password(password, own=(email, name))
        await self._throttling.begin(SIGN_UP, email, client.address)
        password_hash = await self._passwords.hash(password)
        return await self._store.users.create(email, name, password_hash, AccountRole.USER)

    async def log_in(self, email: str, password: str, client: Client) -> LogIn:
        """Raises LoginFailed (whatever was wrong, in the same time), TooManyTries, PasswordTooLong, MessageInvalid."""
        password = tidy(password, MOST_BYTES)
        check_bytes(password)
        try:
            email, is_email = normal_email(email), True
        except EmailInvalid:
            is_email = False  # nobody's; counted like any other
        credentials = await self._store.users.credentials(email) if is_email else None
        device = self._devices.name_in(client.device, credentials)
        attempt = await self._throttling.begin(_LOG_IN, email, client.address, device)
        password_hash = credentials.password_hash if credentials else None
        if not await self._passwords.is_correct(password, password_hash) or credentials is None:
            note(SecurityEvent.LOG_IN_REFUSED, user_id=credentials.user.id if credentials else "")
            raise LoginFailed
        user, password_hash = credentials.user, await self._renewed(credentials, password)
        if await self._store.second_steps.is_on(user.id):
            return LogIn(user, self._second_step.half_way(user, password_hash))
        await attempt.succeeded()
        note(SecurityEvent.LOGGED_IN, user_id=user.id)
        return LogIn(user)

    async def finish_log_in(self, half_way: str, code: str, client: Client) -> User:
        """The second step. Raises LinkEnded (too late), CodeWrong, TooManyTries."""
        user = await self._second_step.whose(half_way)
        await self._second_step.check(user, code, client.address)
        device = self._devices.name_in(client.device, await self._store.users.credentials_of(user.id))
        await self._throttling.succeeded(_LOG_IN, user.email, client.address, device)
        note(SecurityEvent.LOGGED_IN, user_id=user.id, second_step="yes")
        return user

    async def device_cookie(self, user: User) -> str:
        """What makes this browser known to the account from now on; "" if the account is gone."""
        credentials = await self._store.users.credentials_of(user.id)
        return self._devices.cookie_for(credentials) if credentials else ""

    async def open_session(self, user: User, replacing: str, client: Client) -> str:
        """A new session token; the one the browser came with (`replacing`) is worth nothing from now on."""
        token, limit = new_token(user.id), self._session_limits.of(user.role)
        await self._store.sessions.create(
            token, user.id, limit.lifetime, idle=limit.idle, user_agent=client.user_agent, address=client.address
        )
        if replacing:
            await self._store.sessions.revoke(replacing)
        await asyncio.gather(self._store.sessions.sweep(), self._store.throttle.sweep(), self._store.resets.sweep())
        return token

    async def close_session(self, token: str) -> None:
        await self._store.sessions.revoke(token)

    async def sessions(self, user: User, token: str) -> list[Session]:
        return await self._store.sessions.of(user.id, token)

    async def has_just_logged_in(self, user: User, token: str) -> bool:
        """Within ten minutes, in this browser."""
        since = datetime.now(UTC) - _JUST
        return any(session.is_this and session.begun_at > since for session in await self.sessions(user, token))

    async def end_session(self, user: User, session_id: str) -> None:
        """Raises NotFound, for somebody else's too."""
        if not await self._store.sessions.revoke_one(user.id, session_id):
            raise NotFound

    async def end_other_sessions(self, user: User, token: str) -> None:
        await self._store.sessions.revoke_others(user.id, token)

    async def end_all_sessions(self, user: User) -> None:
        await self._store.sessions.revoke_all(user.id)

    async def rename(self, user: User, name: str) -> None:
        """Raises NameInvalid."""
        await self._store.users.set_name(user.id, normal_name(name))

    async def agree(self, user: User, *, agrees: bool) -> None:
        """Whether a model may learn from what this person votes on from now on."""
        await self._store.users.set_agreed(user.id, agrees=agrees)

    async def require_password(self, user: User, password: str, client: Client) -> None:
        """Of somebody who is logged in. Raises PasswordWrong, TooManyTries."""
        try:
            password = tidy(password, MOST_BYTES)
            check_bytes(password)
        except InputError as error:
            raise PasswordWrong from error
        attempt = await self._throttling.begin(_OWN_PASSWORD, user.id, client.address)
        credentials = await self._store.users.credentials_of(user.id)
        if credentials is None or not await self._passwords.is_correct(password, credentials.password_hash):
            note(SecurityEvent.PASSWORD_REFUSED, user_id=user.id)
            raise PasswordWrong
        await attempt.succeeded()

    async def change_password(self, user: User, old: str, new: str, token: str, client: Client) -> None:
        """Ends all sessions but the one with this token, and what reset links there are.

        Raises what require_password and new_password raise.
        """
        new = new_password(new, own=(user.email, user.name))
        await self.require_password(user, old, client)
        await self.set_password(user, new)
        await self._store.sessions.revoke_others(user.id, token)

    async def set_password(self, user: User, password: str) -> None:
        """`password` has passed new_password. Links to choose another one end, and so do waits at the log-in."""
        await self._store.users.set_password(user.id, await self._passwords.hash(password))
        await self._store.resets.revoke_all(user.id)
        await self._throttling.forget(_LOG_IN, user.email)

    async def _renewed(self, credentials: Credentials, password: str) -> bytes:
        """The hash of a password that was right, after making it anew if it has another cost than new ones."""
        old = credentials.password_hash
        if self._passwords.has_todays_cost(old):
            return old
        try:
            new = await self._passwords.hash_again(password)
        except TooBusy:  # the next log-in will do
            return old
        return new if await self._store.users.renew_hash(credentials, new) else old


def new_password(password: str, own: tuple[str, ...]) -> str:
    """As it is hashed. `own`: e-mail address and name.

    Raises PasswordTooShort, PasswordTooLong, PasswordGuessable, MessageInvalid.
    """
    password = tidy(password, MOST_BYTES)
    check_length(password)
    if is_guessable(password, own):
        raise PasswordGuessable
    return password


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
