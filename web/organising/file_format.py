"""Conversations as a JSON file of ours: what an export writes and an import reads.

Version 1. Times are ISO 8601 with a zone. A conversation is a tree: each turn names the one that it `follows`, `leaf`
is where the visible branch ends. Pictures are named, not held: the download of all one's data has their bytes.
Unknown fields are ignored, so that adding one needs no new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, Field

from shared.chat import Conversation, Generation, GenerationState

FORMAT: Final = "nunmal.conversations"
VERSION: Final = 1

State = Literal["done", "stopped", "failed"]


class ExportedPicture(BaseModel):
    id: str
    called: str = Field(default="", description="What its owner calls it.")
    width: int
    height: int


class ExportedTurn(BaseModel):
    id: str
    follows: str | None = None
    question: str
    answer: str = ""
    state: State = "done"
    model: str = ""
    asked_at: datetime
    pictures: list[ExportedPicture] = []


class ExportedConversation(BaseModel):
    id: str
    title: str = ""
    tags: list[str] = []
    created_at: datetime
    leaf: str | None = None
    turns: list[ExportedTurn]


class ExportFile(BaseModel):
    format: Literal["nunmal.conversations"] = FORMAT
    version: Literal[1] = VERSION
    exported_at: datetime
    conversations: list[ExportedConversation]


def exported(conversation: Conversation, turns: Sequence[Generation]) -> ExportedConversation:
    """`turns`: of all branches. One that is still being answered is written as stopped where it is."""
    return ExportedConversation(
        id=conversation.id,
        title=conversation.title,
        tags=list(conversation.tags),
        created_at=conversation.created_at,
        leaf=conversation.leaf_id,
        turns=[_turn(turn) for turn in turns],
    )


def _turn(turn: Generation) -> ExportedTurn:
    states: dict[GenerationState, State] = {GenerationState.DONE: "done", GenerationState.FAILED: "failed"}
    return ExportedTurn(
        id=turn.id,
        follows=turn.parent_id,
        question=turn.question,
        answer=turn.answer,
        state=states.get(turn.state, "stopped"),
        model=turn.lane.partition(".")[2],
        asked_at=turn.created_at,
        pictures=[
            ExportedPicture(id=each.id, called=each.alt, width=each.width, height=each.height) for each in turn.pictures
        ],
    )
