"""Who is asking: the person, their CSRF secret and their language, found once per request."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from quart import g, request

from shared.chat import AccountRole, User
from shared.errors import CsrfFailed, LoginRequired, NotFound
from shared.store import Store
from web.forms import Form, read_form
from web.security import Cookie, Csrf
from web.security_log import SecurityEvent, note
from web.session_token import owner_of
from web.words import DEFAULT_LANGUAGE, Words

_YEAR_S = 365 * 24 * 3600


@dataclass(slots=True)
class Visitor:
    """`secret` is the session token of `user`, or a random value kept in a cookie before log-in."""

    words: Words
    user: User | None = None
    secret: str = ""
    secret_is_new: bool = False


class Visitors:
    """Reads the cookies of a request and keeps the result for its length."""

    def __init__(self, store: Store, words: dict[str, Words], csrf: Csrf, *, secure: bool, session_days: float) -> None:
        self._store = store
        self._words = words
        self._csrf = csrf
        self.session_cookie = Cookie("nunmal_session", secure, int(session_days * 24 * 3600))
        self.visitor_cookie = Cookie("nunmal_visitor", secure, _YEAR_S)
        self.device_cookie = Cookie("nunmal_device", secure, _YEAR_S)  # web/auth/known_devices.py
        self.language_cookie = Cookie("nunmal_language", secure, _YEAR_S)

    async def identify(self) -> None:
        """Before each request. Raises StoreUnavailable."""
        language = self.language_cookie.read(request)
        visitor = Visitor(self._words.get(language) or self._words[DEFAULT_LANGUAGE])
        g.visitor = visitor
        token = self.session_cookie.read(request)
        if token:
            owner = owner_of(token)
            user_id, user = await asyncio.gather(self._store.sessions.user_id(token), self._store.users.get(owner))
            if user is not None and user_id == user.id:
                visitor.user, visitor.secret = user, token
                return
        visitor.secret = self.visitor_cookie.read(request)
        if not visitor.secret:
            visitor.secret, visitor.secret_is_new = secrets.token_urlsafe(32), True

    def remember(self, response: Any) -> None:
        """After each request: a first-time visitor gets the cookie their CSRF token is bound to."""
        visitor = self.current()
        if visitor.secret_is_new and visitor.user is None:
            self.visitor_cookie.write(response, visitor.secret)

    def current(self) -> Visitor:
        """The visitor of this request; an anonymous one if it failed before we knew."""
        visitor = g.get("visitor")
        return visitor if isinstance(visitor, Visitor) else Visitor(self._words[DEFAULT_LANGUAGE])

    def require_user(self) -> User:
        """Raises LoginRequired."""
        user = self.current().user
        if user is None:
            raise LoginRequired
        return user

    def require_role(self, *roles: AccountRole) -> User:
        """Raises LoginRequired, and NotFound for anybody else: a door that is not theirs looks like no door."""
        user = self.require_user()
        if user.role not in roles:
            note(SecurityEvent.ROLE_REFUSED, user_id=user.id)
            raise NotFound
        return user

    def csrf_token(self) -> str:
        return self._csrf.token(self.current().secret)

    async def checked_form(self, *, is_long: bool = False, has_files: bool = False) -> Form:
        """The posted form, if its CSRF token is this visitor's. One that `is_long` may hold a message, and files where
        the route `has_files`.

        Raises: CsrfFailed, and what read_form raises.
        """
        form = await read_form(request, is_long=is_long, has_files=has_files)
        if not self._csrf.is_valid(self.current().secret, form["csrf_token"]):
            user = self.current().user
            note(SecurityEvent.CSRF_REFUSED, user_id=user.id if user else "")
            raise CsrfFailed
        return form
