"""Browsers that have logged in to an account before: their tries are counted apart, so that nobody who guesses at the
account keeps its owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").

The cookie is a random name with a keyed hash of it, the account and its password's hash: it says nothing to anybody
else, it lets nobody in, and a new password ends it.
"""

from __future__ import annotations

import hmac
import secrets

from shared.store.users import Credentials
from web.auth.sealing import Digest

_NAME_BYTES = 16


class KnownDevices:
    def __init__(self, secret_key: bytes) -> None:
        self._digest = Digest(secret_key, "device")

    def cookie_for(self, credentials: Credentials) -> str:
        """For a browser that has just logged in."""
        name = secrets.token_urlsafe(_NAME_BYTES)
        return f"{name}.{self._mark(name, credentials)}"

    def name_in(self, cookie: str, credentials: Credentials | None) -> str:
        """The browser's name if it has logged in to this account, else ""."""
        name, _, mark = cookie.partition(".")
        expected = self._mark(name, credentials)
        is_known = hmac.compare_digest(expected.encode(), mark.encode("utf-8", "replace"))
        return name if is_known and credentials is not None else ""

    def _mark(self, name: str, credentials: Credentials | None) -> str:
        account = f"{credentials.user.id} {credentials.password_hash.hex()}" if credentials else ""
        return self._digest.of(f"{name} {account}")
