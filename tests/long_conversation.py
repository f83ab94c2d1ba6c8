"""A conversation with many finished turns, written straight into the store."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.chat import GenerationState
from shared.ids import new_id
from shared.store import Store
from tests.factories import generation


async def talk_long(store: Store, user_id: str, turns: int, answer: str) -> list[str]:
    """The ids of its turns; it bears the first one's. Question n is `질문 n`."""
    ids, now = [new_id() for _ in range(turns)], datetime.now(UTC)
    await store.conversations.create(ids[0], user_id, "긴 이야기", ids[-1], created_at=now)
    for number, turn_id in enumerate(ids):
        turn = generation(
            id=turn_id,
            conversation_id=ids[0],
            user_id=user_id,
            parent_id=ids[number - 1] if number else None,
            question=f"질문 {number}",
            answer=answer,
            state=GenerationState.DONE,
            finished_at=now,
        )
        await store.generations.add(turn)
    return ids
