"""Who holds which block of KV memory, and which beginnings of sequences lie in them. Plain integers, no tensors.

A sequence's tokens lie in its blocks, `size` in each. A block that is full may be remembered under the block before it
and its tokens; a later sequence that begins alike shares it instead of computing it. A remembered block that nobody
holds stays until its memory is needed, the one longest unused first.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence

_RUN = 8  # blocks; a sequence that begins a run of free ones has the next ones for its growth, and is read faster

_Key = tuple[Hashable, tuple[int, ...]]  # the entry before (or the root), and the block's tokens


class BlockPool:
    """`root` names what else the contents depend on: model, adapter, pictures. Not thread-safe."""

    def __init__(self, count: int, size: int) -> None:
        if count < 1 or size < 1:
            raise ValueError(f"count ({count}) and size ({size}) must be at least 1")
        self.count = count
        self.size = size
        self._holders = [0] * count
        self._free = list(range(count))  # a heap: low blocks first, so that memory never used stays untouched
        self._is_free = [True] * count
        self._runs = list(range(count // _RUN))  # a heap of those that were free as a whole
        self._free_in_run = [_RUN] * (count // _RUN) + [count % _RUN]
        self._unused: dict[int, None] = {}  # remembered, held by nobody; longest unused first
        self._known: dict[_Key, int] = {}
        self._keys: dict[int, _Key] = {}  # of remembered blocks
        self._entries: dict[
            int, int
        ] = {}  # of held and remembered blocks: a number for each content, never given again
        self._next_entry = 0
        self._free_count = count

    @property
    def available(self) -> int:
        """Blocks that can be had now."""
        return self._free_count + len(self._unused)

    @property
    def held(self) -> int:
        return self.count - self.available

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.size)

    def share(self, root: Hashable, tokens: Sequence[int]) -> list[int]:
        """Hold the remembered blocks with which `tokens` begin, and return them. The last token's is not among them:
        somebody must compute what follows it."""
        found: list[int] = []
        before = root
        for end in range(self.size, len(tokens), self.size):
            block = self._known.get((before, tuple(tokens[end - self.size : end])))
            if block is None:
                break
            found.append(block)
            before = self._entries[block]
        for block in found:
            self._unused.pop(block, None)
            self._holders[block] += 1
        return found

    def take(self, after: int | None = None) -> int | None:
        """Hold a block of one's own, the one behind `after` if it can be had; None if all are held."""
        block = None if after is None else self._taken(after + 1)
        if block is None:
            block = self._first_of_run()
        if block is None:
            block = self._lowest()
        if block is None:
            return None
        self._holders[block] = 1
        return block

    def remember(self, block: int, before: int | None, root: Hashable, tokens: Sequence[int]) -> None:
        """This held block is full of `tokens` and follows the block `before`, which was remembered (None: it is the
        first). Of two alike the one that came first is shared."""
        key = (root if before is None else self._entries[before], tuple(tokens))
        if (known := self._known.get(key)) is not None:
            self._entries[block] = self._entries[known]
            return
        self._known[key] = block
        self._keys[block] = key
        self._entries[block] = self._next_entry
        self._next_entry += 1

    def release(self, blocks: Sequence[int], *, is_sound: bool = True) -> None:
        """Hold these no longer. The end of a sequence is forgotten before its beginning; all of it that nobody else
        holds if it is not sound."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block]:
                continue
            if block in self._keys and not is_sound:
                self._forget(block)
            if block in self._keys:
                self._unused[block] = None
            else:
                self._give_back(block)

    def _taken(self, block: int) -> int | None:
        """This one if it is free; its places in the heaps are skipped later."""
        if block >= self.count or not self._is_free[block]:
            return None
        self._is_free[block] = False
        self._free_in_run[block // _RUN] -= 1
        self._free_count -= 1
        return block

    def _first_of_run(self) -> int | None:
        while self._runs:
            run = heapq.heappop(self._runs)
            if self._free_in_run[run] == _RUN:
                return self._taken(run * _RUN)
        return None

    def _lowest(self) -> int | None:
        while self._free:
            if (block := self._taken(heapq.heappop(self._free))) is not None:
                return block
        if not self._unused:
            return None
        block = next(iter(self._unused))
        del self._unused[block]
        self._forget(block)
        return block

    def _forget(self, block: int) -> None:
        del self._known[self._keys.pop(block)]
        del self._entries[block]

    def _give_back(self, block: int) -> None:
        self._entries.pop(block, None)
        self._is_free[block] = True
        self._free_count += 1
        heapq.heappush(self._free, block)
        run = block // _RUN
        self._free_in_run[run] += 1
        if self._free_in_run[run] == _RUN:
            heapq.heappush(self._runs, run)
