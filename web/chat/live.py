"""One answer that someone on this node is watching: its text as far as we know it, shared by all its streams.

Pure state, no I/O (web/chat/hub.py does that). The rules of frames are here: an older attempt is ignored, within
one attempt text only grows, a newer attempt cuts to its offset, and a gap is remembered until it is filled. A
stream holds a cursor into the shared text and no queue of its own, so a slow browser costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from shared.chat import Generation, GenerationState, TokenLogprob
from shared.messages import Frame, FrameToken, GenerationChanged
from web.chat.blocks import Block, finished_blocks
from web.chat.line import Place
from web.chat.markdown import LONG, render

_PATIENT = 8_000  # an open block longer than this is parsed again only after it grew by an eighth


@dataclass(slots=True, eq=False)
class Cursor:
    """What one browser has: `shown` code points, of which `position` still hold, and the blocks before `settled`."""

    position: int
    shown: int
    settled: int = 0


class LiveAnswer:
    """Offsets are code points of `text`. `version` grows whenever anything is new.

    Thousands may be open on a node, nearly all of them silent: what each one holds is kept small.
    """

    __slots__ = (
        *("generation_id", "text", "blocks", "attempt", "state", "generation", "is_gone", "is_stale", "place"),
        *("logprobs", "has_worker", "is_store_away", "version", "_waiting", "_cursors", "_wanted", "_parsed", "_cuts"),
        *("_settling", "_final_html"),
    )

    def __init__(self, generation_id: str) -> None:
        self.generation_id = generation_id
        self.text = ""
        self.logprobs: tuple[TokenLogprob, ...] = ()  # of the tokens that begin in `text`, if they were asked for
        self.blocks: list[Block] = []
        self.attempt = 0
        self.state = GenerationState.QUEUED
        self.generation: Generation | None = None  # as last read from the store
        self.is_gone = False  # its conversation was deleted
        self.is_stale = True  # the store knows more than we do
        self.place = Place(ahead=0, wait_s=None, has_worker=True)  # where it waits
        self.has_worker = True  # one that answers, or could
        self.is_store_away = False  # it could not be asked whether anything is new
        self.version = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._cursors: list[Cursor] = []
        self._wanted = 0  # a frame told us that this much text exists
        self._parsed = 0  # whole lines up to here were searched for finished blocks
        self._cuts = 0
        self._settling = asyncio.Lock()
        self._final_html: str | None = None

    @property
    def is_over(self) -> bool:
        return self.is_gone or self.state.is_final

    @property
    def has_gap(self) -> bool:
        return self._wanted > len(self.text)

    @property
    def shown_state(self) -> GenerationState:
        """What people see."""
        if self.is_gone:
            return GenerationState.STOPPED
        return self.state.shown(self.attempt)

    @property
    def tail_start(self) -> int:
        """Where the open block begins."""
        return self.blocks[-1].end if self.blocks else 0

    def wake(self) -> None:
        self.version += 1
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            _settle(waiter)

    async def change(self, since: int, timeout_s: float) -> None:
        """Return when `version` is beyond `since`, or after `timeout_s`."""
        if self.version > since:
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append(waiter)
        overdue = loop.call_later(timeout_s, _settle, waiter)
        try:
            await waiter
        finally:
            overdue.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def mark_stale(self) -> None:
        self.is_stale = True
        self.wake()

    def look_again(self) -> None:
        """It was not in the store, and may be there now."""
        self.is_gone = False
        self.mark_stale()

    def move_to(self, place: Place) -> None:
        """It still waits, and stands here now."""
        if place != self.place:
            self.place = place
            self.wake()

    def tell_store(self, *, is_away: bool) -> None:
        """Whether the last look at the store failed."""
        if is_away != self.is_store_away:
            self.is_store_away = is_away
            self.wake()

    def apply_frame(self, frame: Frame) -> None:
        """Cut to the frame's offset and append, unless it is old, known, or beyond a gap."""
        if frame.attempt < self.attempt or self.is_over:
            return
        if frame.attempt > self.attempt:
            self.attempt = frame.attempt
            self._cut(frame.offset)
            self._wanted = 0
        self.state = GenerationState.RUNNING
        self.has_worker = True
        self.is_store_away = False
        self._wanted = max(self._wanted, frame.offset + len(frame.text))
        known = len(self.text) - frame.offset
        if 0 <= known < len(frame.text):
            tokens = tuple(_logprob(token) for token in frame.tokens if token.start >= len(self.text))
            self.text += frame.text[known:]
            self.logprobs += tokens
        self.wake()

    def begins(self, event: GenerationChanged) -> bool:
        """True if the event told all there is to know: this waiting answer was claimed for the first time."""
        is_first = (event.state, event.attempt, self.state, self.attempt) == ("running", 1, GenerationState.QUEUED, 0)
        if self.is_stale or not is_first:
            return False
        self.attempt = 1
        self.state = GenerationState.RUNNING
        self.wake()
        return True

    def apply_document(self, generation: Generation | None) -> None:
        """What the store says. Its answer may be behind the frames of its attempt, never behind older ones."""
        self.is_store_away = False
        if generation is None:
            self.is_gone = True
        elif generation.attempt >= self.attempt and not self.is_over:
            is_newer = generation.attempt > self.attempt
            self.generation = generation
            self.attempt = generation.attempt
            self.state = generation.state
            if is_newer or self.is_over or len(generation.answer) > len(self.text):
                self._replace(generation.answer)
                known = generation.logprobs or ()
                self.logprobs = tuple(token for token in known if token.start < len(self.text))
                self._wanted = len(self.text) if is_newer else self._wanted
        self.wake()

    @contextlib.contextmanager
    def cursor(self, attempt: int, position: int) -> Iterator[Cursor]:
        """For a browser that has `position` code points of `attempt`; of another attempt it keeps nothing."""
        cursor = Cursor(position if attempt == self.attempt else 0, position)
        self._cursors.append(cursor)
        try:
            yield cursor
        finally:
            self._cursors.remove(cursor)

    def news(self, cursor: Cursor) -> tuple[int, str, list[Block]] | None:
        """Offset, text and finished blocks that this cursor has not had, and move it; None if it is up to date."""
        blocks = [block for block in self.blocks if block.start >= cursor.settled]
        text = self.text[cursor.position :]
        is_cut = cursor.position < cursor.shown
        if not (text or blocks or is_cut) or cursor.position > len(self.text):
            return None
        offset, cursor.settled = cursor.position, self.tail_start
        cursor.position = cursor.shown = len(self.text)
        return offset, text, blocks

    async def settle(self) -> None:
        """Find the blocks that new text finished."""
        async with self._settling:
            lines_end = self.text.rfind("\n") + 1
            start, cuts = self.tail_start, self._cuts
            tail = lines_end - start
            if lines_end <= self._parsed or (tail > _PATIENT and lines_end - self._parsed < tail // 8):
                return
            if tail > LONG:
                blocks = await asyncio.to_thread(finished_blocks, self.text[:lines_end], start)
            else:
                blocks = finished_blocks(self.text[:lines_end], start)
            if cuts == self._cuts:
                self.blocks += blocks
                self._parsed = lines_end

    async def final_html(self) -> str:
        """The whole answer rendered, once it is over."""
        async with self._settling:
            if self._final_html is None:
                self._final_html = await rendered(self.text)
            return self._final_html

    def _replace(self, text: str) -> None:
        pairs = enumerate(zip(self.text, text, strict=False))
        self._cut(next((index for index, (ours, theirs) in pairs if ours != theirs), len(text)))
        self.text = text

    def _cut(self, offset: int) -> None:
        """Forget what lies beyond `offset` (a worker was lost). What followed may have been what finished a block,
        so blocks are searched for anew, and browsers that had some begin anew."""
        if offset >= len(self.text):
            return
        self._cuts += 1
        self.text = self.text[:offset]
        self.logprobs = tuple(token for token in self.logprobs if token.start < offset)
        self._parsed = 0
        self.blocks = []
        for cursor in self._cursors:
            cursor.position = 0 if cursor.settled else min(cursor.position, offset)
            cursor.settled = 0


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _logprob(token: FrameToken) -> TokenLogprob:
    top = tuple(TokenLogprob(text, logprob) for text, logprob in token.top)
    return TokenLogprob(token.spelled, token.logprob, top, token.start)


async def rendered(text: str) -> str:
    """Safe HTML; long text is rendered in a thread."""
    return await asyncio.to_thread(render, text) if len(text) > LONG else render(text)
