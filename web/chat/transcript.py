"""A conversation as a page shows it: each turn's question, the answer as far as it is stored, and its note."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from markupsafe import Markup

from shared.chat import Generation, GenerationState
from web.chat.blocks import Block, finished_blocks
from web.chat.context import Gauge, gauge_of, left_out
from web.chat.continuing import can_go_on
from web.chat.evidence import EvidenceView, NumberedPictures, pictures_of, view_of_evidence
from web.chat.line import Lines
from web.chat.markdown import LONG, render
from web.chat.notes import note_of_final, note_of_waiting
from web.chat.service import OpenConversation
from web.chat.voting import may_be_voted_on
from web.pictures.views import PictureView, view_of
from web.words import Words


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn. `html` is the whole answer if it is over; else `blocks` and `open_text` are what is stored."""

    id: str
    question: str
    pictures: list[PictureView]  # beside the question
    state: GenerationState
    html: Markup
    blocks: list[Block]
    open_text: str
    open_start: int
    position: str  # attempt.offset: where a stream goes on
    note: str
    evidence: EvidenceView | None
    asked_at: datetime
    lane: str
    adapter: str | None
    is_cut: bool  # and can go on
    is_held: bool
    may_be_voted_on: bool
    is_pinned: bool = False
    number: int = 1  # among those that follow the same turn
    of: int = 1
    before: str = ""  # the sibling before it
    after: str = ""
    is_left_out: bool = False  # the last prompt had no room for it
    left_out_before: int = 0  # from here on all is read, and so many before it are not

    @property
    def is_over(self) -> bool:
        return self.state.is_final

    @property
    def model(self) -> str:
        """With the version of its adapter."""
        base = self.lane.partition(".")[2]
        return f"{base}:{self.adapter}" if self.adapter else base


class Transcripts:
    """Builds views."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def of_branch(self, opened: OpenConversation, words: Words, start: int = 0) -> list[TurnView]:
        """The visible branch from its turn `start` on, with what is beside each turn."""
        turns = opened.turns
        gone = left_out(turns)
        views = await self.of(turns, words, start)
        return [
            replace(
                view,
                is_pinned=view.id in opened.conversation.pins,
                is_left_out=view.id in gone.turn_ids,
                left_out_before=len(gone.turn_ids) if place == gone.seen_from else 0,
                **_among(view.id, opened.tree.siblings(turn)),
            )
            for place, (view, turn) in enumerate(zip(views, turns[start:], strict=True), start)
        ]

    async def gauge(self, opened: OpenConversation) -> Gauge | None:
        """How full the context of its model is. Raises StoreUnavailable."""
        turns = opened.turns
        if not turns:
            return None
        workers = (await self._lines.of(turns[-1].lane)).workers
        return gauge_of(turns, max((worker.context_length or 0 for worker in workers), default=0))

    async def of(self, turns: list[Generation], words: Words, start: int = 0) -> list[TurnView]:
        """The turns from `start` on; pictures keep the numbers they have among all of them."""
        shown, pictures = turns[start:], pictures_of(turns)
        notes = [await self._note(turn, words) for turn in shown]
        if sum(len(turn.answer) for turn in shown) > LONG:
            return await asyncio.to_thread(_views, shown, notes, pictures)
        return _views(shown, notes, pictures)

    async def _note(self, turn: Generation, words: Words) -> str:
        if turn.state.is_final:
            return note_of_final(turn, words)
        if turn.state is GenerationState.RUNNING:
            return ""
        if turn.state is GenerationState.HELD:
            return words("note.held")
        return note_of_waiting(turn.attempt, await self._lines.place(turn), words)


def _among(turn_id: str, siblings: Sequence[str]) -> dict[str, Any]:
    place = siblings.index(turn_id)
    return {
        "number": place + 1,
        "of": len(siblings),
        "before": siblings[place - 1] if place else "",
        "after": siblings[place + 1] if place + 1 < len(siblings) else "",
    }


def _views(turns: list[Generation], notes: list[str], pictures: NumberedPictures) -> list[TurnView]:
    return [_view(turn, note, pictures) for turn, note in zip(turns, notes, strict=True)]


def _view(turn: Generation, note: str, pictures: NumberedPictures) -> TurnView:
    is_over = turn.state.is_final
    blocks = [] if is_over else finished_blocks(turn.answer)
    open_start = blocks[-1].end if blocks else 0
    return TurnView(
        id=turn.id,
        question=turn.question,
        pictures=[view_of(picture) for picture in turn.pictures],
        state=turn.shown_state,
        html=Markup(render(turn.answer)) if is_over else Markup(),  # noqa: S704  # sanitised by render
        blocks=blocks,
        open_text="" if is_over else turn.answer[open_start:],
        open_start=open_start,
        position=f"{turn.attempt}.{len(turn.answer)}",
        note=note,
        evidence=view_of_evidence(turn.evidence, pictures) if turn.evidence else None,
        asked_at=turn.created_at,
        lane=turn.lane,
        adapter=turn.adapter,
        is_cut=can_go_on(turn),
        is_held=turn.state is GenerationState.HELD,
        may_be_voted_on=may_be_voted_on(turn),
    )
