"""Going on with an answer that was stopped or cut: from its own tokens, in a turn beside it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.chat import Generation, GenerationState
from shared.ids import new_id


def can_go_on(turn: Generation) -> bool:
    """An answer that was cut, and not because the context is full."""
    is_cut = turn.state is GenerationState.STOPPED or turn.finish_reason == "length"
    return is_cut and bool(turn.answer) and not is_full(turn)


def is_full(turn: Generation) -> bool:
    """It was to go on, and there was no room for another token."""
    return turn.finish_reason == "length" and 0 < turn.answer_tokens <= turn.continued


def continued(turn: Generation) -> Generation:
    """A sibling of `turn` that begins with its answer, tokens and all, and asks for as much again. Everything that the
    tokens depend on is the same, so the engine goes on as if it had never ended."""
    return Generation(
        id=new_id(),
        conversation_id=turn.conversation_id,
        user_id=turn.user_id,
        parent_id=turn.parent_id,
        question=turn.question,
        lane=turn.lane,
        state=GenerationState.QUEUED,
        seed=turn.seed,
        tag=0.0,
        created_at=datetime.now(UTC),
        pictures=turn.pictures,
        sampling=turn.sampling,
        adapter=turn.adapter,
        system=turn.system,
        pins=turn.pins,
        continued=len(turn.token_ids),
        answer=turn.answer,
        token_ids=turn.token_ids,
        model_digest=turn.model_digest,
    )
