"""Who prefills, who decodes, and in which row: policy in plain integers, no tensors.

Rows are kept without gaps, because one forward pass reads rows 0 to n-1 of the cache:

    row 0 .. d-1    decoding: prompt read, one token a step
    row d           prefilling: at most one request, read in chunks between two decode steps

Waiting requests enter first come, first served as soon as a row is free. When a request leaves, the last
decoding row moves into its place, and the prefilling row (if any) closes up behind it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Read tokens [start, stop) of this request's prompt into `row`."""

    request_id: str
    row: int
    start: int
    stop: int
    is_last: bool  # the prompt ends here: the logits of its last token give the first new token


@dataclass(frozen=True, slots=True)
class Move:
    """The contents of row `source` now belong in row `target`."""

    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Removal:
    """What the cache must do, in this order, after a request has left."""

    moves: tuple[Move, ...] = ()
    freed_row: int | None = None  # None: the request had no row yet


@dataclass(slots=True)
class _Reading:
    """The request in the last row while its prompt is read."""

    request_id: str
    length: int
    done: int = 0


class Scheduler:
    """Holds ids and lengths only. Not thread-safe: it belongs to the thread that steps."""

    def __init__(self, slots: int, prefill_chunk: int) -> None:
        """`slots`: most rows at once. `prefill_chunk`: most prompt tokens read between two decode steps."""
        if slots < 1 or prefill_chunk < 1:
            raise ValueError(f"slots ({slots}) and prefill_chunk ({prefill_chunk}) must be at least 1")
        self.slots = slots
        self.prefill_chunk = prefill_chunk
        self._waiting: dict[str, int] = {}  # id -> prompt length, in order of arrival
        self._rows: list[str] = []
        self._reading: _Reading | None = None

    @property
    def running(self) -> int:
        """Requests that hold a row."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, request_id: str, prompt_length: int) -> None:
        """Queue a request. Its id must be new and its prompt must have at least one token."""
        if prompt_length < 1 or request_id in self._waiting or request_id in self._rows:
            raise ValueError(f"request {request_id} is empty or already here")
        self._waiting[request_id] = prompt_length

    def next_chunk(self, budget: int) -> PrefillChunk | None:
        """The next piece of prompt to read, at most `budget` tokens; admits a waiting request if a row is free.

        None when there is nothing to read now. Say `advance` once it has been read.
        """
        if budget < 1:
            return None
        if self._reading is None:
            if not self._waiting or len(self._rows) == self.slots:
                return None
            request_id = next(iter(self._waiting))
            self._reading = _Reading(request_id, self._waiting.pop(request_id))
            self._rows.append(request_id)
        reading = self._reading
        stop = min(reading.length, reading.done + budget)
        return PrefillChunk(reading.request_id, len(self._rows) - 1, reading.done, stop, is_last=stop == reading.length)

    def advance(self, chunk: PrefillChunk) -> None:
        """`chunk` has been read. After the last one the request decodes."""
        if self._reading is not None and self._reading.request_id == chunk.request_id:
            self._reading.done = chunk.stop
            if chunk.is_last:
                self._reading = None

    def decoding(self) -> tuple[str, ...]:
        """Requests of the next decode step, in row order from row 0."""
        return tuple(self._rows if self._reading is None else self._rows[:-1])

    def remove(self, request_id: str) -> Removal:
        """Finished, failed or cancelled: it leaves now. Unknown ids are ignored."""
        if self._waiting.pop(request_id, None) is not None or request_id not in self._rows:
            return Removal()
        row, last = self._rows.index(request_id), len(self._rows) - 1
        moves: list[Move] = []
        if self._reading is not None and self._reading.request_id == request_id:
            self._reading = None
        elif self._reading is None:
            moves += [Move(last, row)] if row != last else []
        else:
            moves += [Move(last - 1, row)] if row != last - 1 else []
            moves.append(Move(last, last - 1))
        for move in moves:
            self._rows[move.target] = self._rows[move.source]
        self._rows.pop()
        return Removal(tuple(moves), last)
