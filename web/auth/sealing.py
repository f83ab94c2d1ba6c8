"""What leaves the web node and must come back unread and unchanged: encrypted with keys derived from the secret key.

Each purpose has a key of its own (HKDF-SHA256, RFC 5869), so that nothing sealed for one is accepted for another. With
another NUNMAL_SECRET_KEY nothing that was sealed can be opened.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES = 32


class Seal:
    """Fernet (AES-128-CBC and HMAC-SHA256) for one purpose."""

    def __init__(self, secret_key: bytes, purpose: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_derived(secret_key, f"seal {purpose}")))

    def close(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str, within_s: int | None = None) -> str | None:
        """The text, or None if it was changed, sealed with another key, or longer ago than `within_s`."""
        try:
            return self._fernet.decrypt(sealed.encode(), ttl=within_s).decode()
        except InvalidToken:
            return None


class Digest:
    """Keyed hashes (HMAC-SHA256) for one purpose: who has only the store cannot try values."""

    def __init__(self, secret_key: bytes, purpose: str) -> None:
        self._key = _derived(secret_key, f"digest {purpose}")

    def of(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _derived(secret_key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"nunmal {purpose}".encode()).derive(secret_key)
