"""Who computes what in the next step, and in which blocks: policy in plain integers, no tensors.

One step is one forward pass over pieces of sequences. A sequence that lacks one token decodes; one that lacks more
reads its prompt in pieces. Every decoding sequence is in every step; what is left of the step's budget goes to prompts,
in order of arrival, so an answer under way waits for at most `budget` tokens of others.

Memory: a sequence takes a block when it grows into it. If none is to be had, the sequence that came last gives all of
its own back and waits again, first in line; what it had computed stays remembered until the memory is needed, and its
tokens are computed again. So the one that came first always gets on, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from workers.engine.block_pool import BlockPool

_TRY_MORE_AFTER = 100  # steps


@dataclass(frozen=True, slots=True)
class Piece:
    """Compute tokens [start, stop) of a sequence, which lie in `table`."""

    request_id: str
    start: int
    stop: int
    table: Sequence[int]
    is_last: bool  # nothing is left to read: its logits give the next token

    @property
    def is_decoding(self) -> bool:
        return self.is_last and self.stop == self.start + 1


@dataclass(slots=True, eq=False)
class _Sequence:
    request_id: str
    tokens: Sequence[int]  # grows from outside, by the tokens drawn
    root: Hashable
    arrival: int
    computed: int = 0
    table: list[int] = field(default_factory=list)
    remembered: int = 0  # blocks

    @property
    def lacking(self) -> int:
        return len(self.tokens) - self.computed


class Scheduler:
    """Not thread-safe: it belongs to the thread that steps."""

    def __init__(self, pool: BlockPool, slots: int) -> None:
        """`slots`: most sequences that compute at the same time."""
        if slots < 1:
            raise ValueError(f"slots ({slots}) must be at least 1")
        self.pool = pool
        self.slots = slots
        self._most = slots  # fewer for a while after memory ran out
        self._steps = 0  # since then
        self.preemptions = 0
        self.prompt_tokens = 0  # of sequences that began, and of those
        self.shared_tokens = 0  # what was remembered
        self._waiting: list[_Sequence] = []  # in order of arrival
        self._running: list[_Sequence] = []  # alike
        self._arrivals = 0

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def decoding(self) -> int:
        return sum(sequence.lacking == 1 for sequence in self._running)

    @property
    def joining(self) -> int:
        """Those that read their prompts, and those that could begin to."""
        return min(self._most, len(self._running) + len(self._waiting)) - self.decoding

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, request_id: str, tokens: Sequence[int], root: Hashable = None) -> None:
        """`tokens`: prompt and answer so far; the caller appends what is drawn. `root`: see BlockPool. Raises
        ValueError if it is empty, already here, or could not even be computed alone."""
        if not tokens or any(each.request_id == request_id for each in (*self._waiting, *self._running)):
            raise ValueError(f"request {request_id} is empty or already here")
        if self.pool.blocks_for(len(tokens)) > self.pool.count:
            raise ValueError(f"request {request_id} needs more memory than there is")
        self._waiting.append(_Sequence(request_id, tokens, root, self._arrivals))
        self._arrivals += 1

    def plan(self, budget: int) -> list[Piece]:
        """The pieces of the next step, at most `budget` (at least 1, if nobody decodes) tokens of prompts among them.
        Say `advance` when they have been computed."""
        pieces = [self._piece(sequence, 1) for sequence in self._decoding()]
        budget = budget if pieces else max(1, budget)
        for sequence in [each for each in self._running if each.lacking > 1]:
            budget -= self._read(sequence, budget, pieces)
        while budget > 0 and (newcomer := self._admit()):
            budget -= self._read(newcomer, budget, pieces)
        if not pieces and self._running:  # those that read their prompts hold all memory
            self._preempt(self._running[-1])
            return self.plan(budget)
        return pieces

    def advance(self, pieces: Sequence[Piece]) -> None:
        """These have been computed; ids that have left are skipped."""
        self._steps += 1
        if self._most < self.slots and self._steps % _TRY_MORE_AFTER == 0:
            self._most += 1
        stops = {piece.request_id: piece.stop for piece in pieces}
        for sequence in self._running:
            sequence.computed = stops.get(sequence.request_id, sequence.computed)
            self._remember(sequence)

    def remove(self, request_id: str, *, is_sound: bool = True) -> None:
        """Finished, failed or cancelled: it leaves now. Unknown ids are ignored. `is_sound`: what it computed may be
        shared with others."""
        for sequences in (self._waiting, self._running):
            for sequence in sequences:
                if sequence.request_id == request_id:
                    self.pool.release(sequence.table, is_sound=is_sound)
                    sequences.remove(sequence)
                    return

    def shed(self) -> int:
        """The later half of the running sequences waits again, because memory ran out elsewhere; one more is tried
        after every so many steps. Returns how many go on."""
        for sequence in self._running[(len(self._running) + 1) // 2 :]:
            self._preempt(sequence)
        self._most, self._steps = max(1, len(self._running)), 0
        return len(self._running)

    def _decoding(self) -> list[_Sequence]:
        """Those that lack one token, each with room for it."""
        for sequence in list(self._running):
            if sequence in self._running and sequence.lacking == 1:
                while not self._grow(sequence, sequence.computed + 1):
                    self._preempt(self._running[-1])
                    if sequence not in self._running:
                        break
        return [sequence for sequence in self._running if sequence.lacking == 1]

    def _read(self, sequence: _Sequence, budget: int, pieces: list[Piece]) -> int:
        """As much of the prompt as budget and memory allow. Returns the number of tokens."""
        length = min(sequence.lacking, budget)
        while length > 0 and not self._grow(sequence, sequence.computed + length):
            length = len(sequence.table) * self.pool.size - sequence.computed
        if length > 0:
            pieces.append(self._piece(sequence, length))
        return length

    def _admit(self) -> _Sequence | None:
        """The first in line begins, if there is a slot, and memory for its prompt and a block for each that decodes."""
        if not self._waiting or len(self._running) >= self._most:
            return None
        sequence = self._waiting[0]
        sequence.table = self.pool.share(sequence.root, sequence.tokens)
        needed = self.pool.blocks_for(len(sequence.tokens) + 1) - len(sequence.table) + len(self._running)
        if self._running and needed > self.pool.available:
            self.pool.release(sequence.table)
            sequence.table = []
            return None
        sequence.remembered = len(sequence.table)
        sequence.computed = sequence.remembered * self.pool.size
        self.prompt_tokens += len(sequence.tokens)
        self.shared_tokens += sequence.computed
        del self._waiting[0]
        self._running.append(sequence)
        self._running.sort(key=lambda each: each.arrival)
        return sequence

    def _preempt(self, sequence: _Sequence) -> None:
        self._running.remove(sequence)
        self.pool.release(sequence.table)
        sequence.table, sequence.computed, sequence.remembered = [], 0, 0
        self._waiting.append(sequence)
        self._waiting.sort(key=lambda each: each.arrival)
        self.preemptions += 1

    def _grow(self, sequence: _Sequence, tokens: int) -> bool:
        """Room for so many; what could be had is kept even if it is not enough."""
        while len(sequence.table) * self.pool.size < tokens:
            block = self.pool.take(after=sequence.table[-1] if sequence.table else None)
            if block is None:
                return False
            sequence.table.append(block)
        return True

    def _remember(self, sequence: _Sequence) -> None:
        size = self.pool.size
        while (sequence.remembered + 1) * size <= sequence.computed:
            index = sequence.remembered
            before = sequence.table[index - 1] if index else None
            tokens = sequence.tokens[index * size : (index + 1) * size]
            self.pool.remember(sequence.table[index], before, sequence.root, tokens)
            sequence.remembered += 1

    @staticmethod
    def _piece(sequence: _Sequence, length: int) -> Piece:
        stop = sequence.computed + length
        return Piece(sequence.request_id, sequence.computed, stop, sequence.table, stop == len(sequence.tokens))
