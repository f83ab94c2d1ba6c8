"""Passes that nobody asked for, so that those that somebody did find their matrix products compiled.

oneDNN compiles one for each height of a matrix (0.5 ms, five of them in a layer), so the first pass of each length
takes twice its time, which readers of other answers would notice.
"""

from __future__ import annotations

import time

from workers.engine.model_runner import ModelRunner, rounded
from workers.engine.scheduler import Piece

_LONGEST = 256  # tokens; for more it is a small part of a pass
_ROWS = 64  # so many tokens are those of as many answers, more are prompts
_SECONDS = 1.0


def warm_up(runner: ModelRunner, seconds: float = _SECONDS) -> int:
    """Run a pass of each of the lengths that passes are filled up to, shortest first, for about so long. Returns how
    many."""
    end, lengths = time.perf_counter() + seconds, sorted({rounded(tokens) for tokens in range(1, _LONGEST + 1)})
    for count, length in enumerate(lengths):
        if time.perf_counter() > end:
            return count
        longest = 1 if length <= _ROWS else runner.cache.size
        counts = [min(longest, length - start) for start in range(0, length, longest)]
        pieces = [Piece(str(place), 0, count, [0], is_last=True) for place, count in enumerate(counts)]
        runner.forward(pieces, [[0] * piece.stop for piece in pieces])
    return len(lengths)
