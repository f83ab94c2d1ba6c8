"""Ids are UUIDv7 strings: unique without a registry, and sorted by the time they were made (RFC 9562)."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid


def new_id() -> str:
    """A fresh UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return _uuid7(milliseconds, secrets.randbits(74))


def derived_id(name: str, seconds: float) -> str:
    """The UUIDv7 of a name and a time since the epoch: always the same, another for any other name."""
    bits = int.from_bytes(hashlib.sha256(name.encode()).digest()) & (1 << 74) - 1
    return _uuid7(max(0, int(seconds * 1000)), bits)


def _uuid7(milliseconds: int, random_bits: int) -> str:
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (random_bits >> 62) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """True if `text` is a UUID as we write it (so it can be looked up, logged and put in a URL)."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
