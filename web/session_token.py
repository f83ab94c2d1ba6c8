"""Session tokens name their owner, so that a request looks up both at once; only the store says whether one holds."""

from __future__ import annotations

import secrets

_SECRET_BYTES = 32


def new_token(user_id: str) -> str:
    return f"{user_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"


def owner_of(token: str) -> str:
    """Whose it claims to be."""
    return token.partition(".")[0]
