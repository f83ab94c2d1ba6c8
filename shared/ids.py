"""Ids are UUIDv7 strings: unique without a registry, and sorted by the time they were made (RFC 9562)."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> str:
    """A fresh UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random_bits >> 62) << 64 | 0b10 << 62 | random_bits & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """True if `text` is a UUID as we write it (so it can be looked up, logged and put in a URL)."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
