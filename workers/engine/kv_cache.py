"""Keys and values of all rows, in one contiguous tensor per layer that grows by doubling.

Layout per layer: keys (rows, kv heads, capacity, head dim), values alike. A forward pass covers rows
[first, first + n); each row's new tokens are written at that row's own position, and the model reads views up to
the longest of them. What lies beyond a row's own length is masked, and is zero, so that not even a stray
infinity of an earlier request can reach another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import Cache

_FIRST_CAPACITY = 256  # tokens


class SlotCache(Cache):
    """Grows on demand; `release` gives all memory back. Not thread-safe."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}
        self._filled: list[int] = []  # per row: positions written since it was last cleared
        self._capacity = _FIRST_CAPACITY
        self._rows_allocated = 1
        self._first = 0
        self._stop = 0
        self._query_length = 0
        self._longest = 0
        self._offset: int | torch.Tensor = 0
        self._row_index: torch.Tensor | None = None

    # One forward pass.

    def begin(self, first_row: int, positions: Sequence[int], query_length: int, device: torch.device) -> None:
        """Announce a pass over rows from `first_row`, whose new tokens begin at `positions` (one for each row)."""
        self._first, self._stop = first_row, first_row + len(positions)
        self._query_length = query_length
        self._longest = max(positions) + query_length
        if min(positions) == max(positions):
            self._offset = positions[0]
        else:
            self._offset = torch.tensor(positions, device=device)
            self._row_index = torch.arange(self._first, self._stop, device=device)
        self._filled.extend([0] * (self._stop - len(self._filled)))
        for row, position in enumerate(positions, first_row):
            self._filled[row] = max(self._filled[row], position + query_length)
        self._make_room()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write this pass's new keys and values (n, kv heads, q, head dim); return views up to the longest row."""
        if layer_idx not in self._keys:
            self._keys[layer_idx] = self._allocate(key_states)
            self._values[layer_idx] = self._allocate(value_states)
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if isinstance(self._offset, int):
            span = slice(self._offset, self._offset + self._query_length)
            keys[self._first : self._stop, :, span] = key_states
            values[self._first : self._stop, :, span] = value_states
        else:  # rows of different lengths take one new token each
            keys[self._row_index, :, self._offset] = key_states[:, :, 0]
            values[self._row_index, :, self._offset] = value_states[:, :, 0]
        window = (slice(self._first, self._stop), slice(None), slice(0, self._longest))
        return keys[window], values[window]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._longest - self._query_length

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self._longest, 0

    def get_query_offset(self, layer_idx: int = 0) -> int | torch.Tensor:  # type: ignore[override]  # as StaticCache
        """Position of the first new token: one int, or (n,) when rows differ (see attention.slot_mask)."""
        return self._offset

    @property
    def is_compileable(self) -> bool:
        return False

    # Between two passes.

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Copy row `source` over row `target`."""
        length = max(self._filled[source], self._filled[target])
        for tensor in (*self._keys.values(), *self._values.values()):
            tensor[target, :, :length] = tensor[source, :, :length]
        self._filled[target] = self._filled[source]

    @torch.inference_mode()
    def clear(self, row: int) -> None:
        if row < len(self._filled):
            for tensor in (*self._keys.values(), *self._values.values()):
                tensor[row, :, : self._filled[row]] = 0
            self._filled[row] = 0

    def release(self) -> None:
        """Forget everything and give the memory back."""
        self._keys.clear()
        self._values.clear()
        self._filled.clear()
        self._capacity, self._rows_allocated = _FIRST_CAPACITY, 1

    @property
    def size_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self._keys.values(), *self._values.values()))

    def _make_room(self) -> None:
        if self._stop <= self._rows_allocated and self._longest <= self._capacity:
            return
        rows, capacity = self._rows_allocated, self._capacity
        while rows < self._stop:
            rows *= 2
        while capacity < self._longest:
            capacity *= 2
        for tensors in (self._keys, self._values):
            for layer, old in tensors.items():
                new = old.new_zeros((rows, old.shape[1], capacity, old.shape[3]))
                new[: old.shape[0], :, : old.shape[2]] = old
                tensors[layer] = new
        self._rows_allocated, self._capacity = rows, capacity

    def _allocate(self, states: torch.Tensor) -> torch.Tensor:
        return states.new_zeros((self._rows_allocated, states.shape[1], self._capacity, states.shape[3]))
