"""Ready-made values for tests; every field a test cares about is an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from shared.chat import Generation, GenerationState
from shared.ids import new_id

LANE = "chat.test"


def generation(**changes: Any) -> Generation:
    """A question that nobody has claimed yet."""
    values: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": new_id(),
        "user_id": new_id(),
        "parent_id": None,
        "question": "안녕?",
        "lane": LANE,
        "state": GenerationState.QUEUED,
        "seed": 1,
        "tag": time.time(),
        "created_at": datetime.now(UTC),
    }
    return Generation(**(values | changes))
