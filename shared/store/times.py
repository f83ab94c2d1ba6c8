"""Times in documents are seconds since the epoch (UTC), as floats.

Not BSON dates: the embedded store (nx-27017 0.8.1) turns a date given to `$set` into a string, which then sorts
among strings. The one exception is `sessions.expires_at`, inserted once and read by a TTL index.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> float:
    return time.time()


def moment(seconds: float) -> datetime:
    """The aware datetime (UTC) of a stored time."""
    return datetime.fromtimestamp(seconds, UTC)
