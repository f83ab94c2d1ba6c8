"""Attention over blocks of KV memory, plugged into unmodified Hugging Face models by name.

A forward pass reads one sequence (1, T) in which pieces of many requests follow one another, so that every matrix
product covers all of them; only attention has to know where one ends. A model asks two registries for the
implementation named in its config. The mask's is handed the rule of each kind of layer (full, sliding, chunked) as
`mask_function` and passes it on as it is; the attention stores the new keys and values in their blocks and lets each
token see its own request's, as the rule says. So each family's own rules hold without our knowing them.

Shapes: T tokens, h heads, g kv heads, d head dimension.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.integrations.sdpa_attention import repeat_kv

from workers.engine import decode_kernel
from workers.engine.scheduler import Piece

MaskFunction = Callable[..., torch.Tensor]

_NAMES = itertools.count()
_PARALLEL = 4096  # keys of a pass above which several threads are worth waking
_MOST_TOGETHER = 1 << 18  # keys that are gathered at once where there is no compiled kernel


@dataclass(frozen=True, slots=True)
class Heads:
    """Of a layer's attention."""

    queries: int
    keys: int  # and values
    scaling: float


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of layer may see. Stands where models expect a mask."""

    allows: MaskFunction  # (row, head, query, key) positions -> bool
    window: int  # of plain causal attention to the last so many keys, itself included; 0: to all; -1: another rule


class PagedCache(Cache):
    """Keys and values of all requests in blocks, and attention over them. Belongs to one thread.

    keys (blocks, g, size, d) and values (blocks, g, d, size) of each layer, made when the first pass tells their
    shapes. Memory that was never used is zero pages of the operating system and costs nothing.
    """

    def __init__(self, blocks: int, size: int, threads: int = 1) -> None:
        super().__init__(layers=[])
        self.blocks = blocks
        self.size = size
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}
        self._batch = _Batch((), size)
        self._rules: dict[tuple[int | None, str], int] = {}
        self._threads = threads
        self._others = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self.name = (
            f"nunmal_paged_{next(_NAMES)}"  # must not contain "sdpa" or "flash": transformers treats those apart
        )
        AttentionInterface.register(self.name, self._attention)
        AttentionMaskInterface.register(self.name, self._rule)

    @property
    def block_bytes(self) -> int:
        """Of one block in all layers seen so far."""
        return sum(tensor.nbytes // self.blocks for tensor in (*self._keys.values(), *self._values.values()))

    def resize(self, blocks: int) -> None:
        """Everything is forgotten."""
        self._keys.clear()
        self._values.clear()
        self.blocks = blocks

    def begin(self, pieces: Sequence[Piece]) -> None:
        """Announce a pass over these, in this order."""
        self._batch = _Batch(pieces, self.size)

    # What models ask a cache.

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store this pass's keys and values (1, g, T, d); they are handed on as they are, to `_attention`."""
        keys, values = self._memory(layer_idx, key_states, value_states)
        tokens = len(self._batch.slots)  # what follows them fills the pass up
        new_keys, new_values = key_states[0, :, :tokens].transpose(0, 1), value_states[0, :, :tokens].transpose(0, 1)
        if _is_compiled_for(keys):
            decode_kernel.store(
                _array(new_keys.contiguous()),
                _array(new_values.contiguous()),
                self._batch.slots,
                _array(keys),
                _array(values),
            )
        else:
            slots = torch.from_numpy(self._batch.slots).to(keys.device)
            blocks, places = slots // self.size, slots % self.size
            keys[blocks, :, places] = new_keys
            values[blocks, :, places] = new_values
        return key_states, value_states

    def _memory(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of a layer whose keys and values (1, g, T, d) are like these."""
        if layer not in self._keys:
            heads = key.shape[1]
            self._keys[layer] = _untouched(key, (self.blocks, heads, self.size, key.shape[3]))
            self._values[layer] = _untouched(value, (self.blocks, heads, self.size, value.shape[3]))
        return self._keys[layer], self._values[layer]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return query_length, 0

    def get_query_offset(self, layer_idx: int = 0) -> int:
        return 0

    @property
    def is_compileable(self) -> bool:
        return False

    # What models ask the registries.

    def _rule(self, mask_function: MaskFunction, config: Any, local_size: int | None = None, **_: Any) -> Rule:
        kind = (local_size, mask_function.__qualname__)
        if kind not in self._rules:
            self._rules[kind] = _window_of(mask_function, local_size)
        return Rule(mask_function, self._rules[kind])

    def _attention(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,  # (1, h, T, d)
        key: torch.Tensor,  # (1, g, T, d)
        value: torch.Tensor,
        attention_mask: Rule,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: torch.Tensor | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """Returns (1, T, h, d)."""
        if s_aux is not None:
            raise NotImplementedError("attention sinks")
        layer = int(module.layer_idx)  # type: ignore[arg-type]  # a plain int in every family
        pass_ = _Pass(
            query[0].transpose(0, 1),
            key[0],
            value[0],
            self._keys[layer],
            self._values[layer],
            attention_mask,
            scaling or query.shape[-1] ** -0.5,
            softcap or 0.0,
        )
        return self._attend(pass_)[None], None

    def attend_rotated(
        self,
        layer: int,
        qkv: torch.Tensor,  # (1, T, (h + 2 g) d), float32 on a CPU; its keys are rotated in place
        cosines: torch.Tensor,  # (1, T, d)
        sines: torch.Tensor,
        *,
        rule: Rule,
        heads: Heads,
    ) -> torch.Tensor:
        """Rotate queries and keys, store keys and values, attend: (1, T, h d). For FusedLayer."""
        tokens, dim = qkv.shape[1], cosines.shape[-1]
        states = qkv.view(tokens, -1, dim)
        key = states[:, heads.queries : heads.queries + heads.keys].transpose(0, 1)
        value = states[:, heads.queries + heads.keys :].transpose(0, 1)
        keys, values = self._memory(layer, key[None], value[None])
        query = states.new_empty((tokens, heads.queries, dim))
        cos, sin = _array(cosines[0]), _array(sines[0])
        into = self._batch.slots, _array(keys), _array(values)
        decode_kernel.rotate_and_store(_array(states), cos, sin, _array(query), *into)
        out = self._attend(_Pass(query, key, value, keys, values, rule, heads.scaling, 0.0))
        return out.view(1, tokens, -1)

    def _attend(self, pass_: _Pass) -> torch.Tensor:
        """(T, h, d)."""
        batch = self._batch
        out = pass_.query.new_empty((*pass_.query.shape[:2], pass_.value.shape[-1]))
        out[len(batch.slots) :] = 0
        reading: Sequence[_Reading] = batch.reading
        if pass_.rule.window < 0:
            reading = [*reading, *batch.decoding]
        elif batch.decoding and _is_compiled_for(pass_.keys):
            self._decode(pass_, out)
        else:
            for rows in batch.together(pass_.rule.window, out.device):
                _decode_together(pass_, rows, out)
        for piece in reading:
            out[piece.first : piece.first + piece.count] = _read(pass_, piece, batch)
        return out

    def _decode(self, pass_: _Pass, out: torch.Tensor) -> None:
        """Every row that has one new token, by the compiled kernel; `out` (T, h, d) is written."""
        batch = self._batch
        queries = _array(pass_.query.float().contiguous())
        into = out if out.dtype == torch.float32 else torch.empty(out.shape)
        arguments = (_array(pass_.keys), _array(pass_.values), np.float32(pass_.scale), pass_.rule.window)

        def attend(rows: slice) -> None:
            decode_kernel.attend(
                queries,
                batch.places[rows],
                batch.tables[rows],
                batch.lengths[rows],
                *arguments,
                np.float32(pass_.cap),
                _array(into),
            )

        shares = batch.shares(self._threads)
        others: list[Future[None]] = [self._others.submit(attend, rows) for rows in shares[1:]] if self._others else []
        attend(shares[0])
        for other in others:
            other.result()
        if into is not out:
            out[batch.places_tensor] = into[batch.places_tensor].to(out.dtype)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Tokens of one piece: `count` of them from `first` in the pass, from `start` in their sequence."""

    first: int
    count: int
    start: int
    table: Sequence[int]

    @property
    def stop(self) -> int:
        return self.start + self.count


class _Batch:
    """Where each token of a pass lies."""

    def __init__(self, pieces: Sequence[Piece], size: int) -> None:
        self.decoding: list[_Reading] = []
        self.reading: list[_Reading] = []
        self.masks: dict[tuple[int, int], torch.Tensor] = {}  # of a reading, for layers of one kind
        self._size = size
        self._together: dict[int, list[_Together]] = {}  # by window
        slots, first = [], 0
        for piece in pieces:
            reading = _Reading(first, piece.stop - piece.start, piece.start, piece.table)
            (self.decoding if reading.count == 1 else self.reading).append(reading)
            positions = np.arange(piece.start, piece.stop)
            slots.append(np.asarray(piece.table)[positions // size] * size + positions % size)
            first += reading.count
        self.slots = np.concatenate(slots) if slots else np.zeros(0, np.int64)
        self.places = np.array([row.first for row in self.decoding], np.int64)
        self.places_tensor = torch.from_numpy(self.places)
        self.lengths = np.array([row.stop for row in self.decoding], np.int32)
        most = max((-(-row.stop // size) for row in self.decoding), default=0)
        self.tables = np.zeros((len(self.decoding), most), np.int32)
        for index, row in enumerate(self.decoding):
            blocks = -(-row.stop // size)
            self.tables[index, :blocks] = row.table[:blocks]

    def together(self, window: int, device: torch.device) -> list[_Together]:
        """The decoding rows in groups of similar length. `window`: as in Rule."""
        if window not in self._together:
            order, groups = np.argsort(self.lengths, kind="stable")[::-1], []
            while len(order):
                longest = int(self.lengths[order[0]])
                group, order = np.split(order, [max(1, _MOST_TOGETHER // longest)])
                tables = self.tables[group, : -(-longest // self._size)].astype(np.int64)
                lengths = self.lengths[group, None]
                keys = np.arange(tables.shape[1] * self._size)
                seen = (keys < lengths) & ((keys >= lengths - window) if window else True)
                arrays = self.places[group], tables, seen
                groups.append(_Together(*(torch.from_numpy(array).to(device) for array in arrays)))
            self._together[window] = groups
        return self._together[window]

    def shares(self, threads: int) -> list[slice]:
        """The decoding rows for each thread, alike in keys."""
        total = int(self.lengths.sum())
        if threads == 1 or total < _PARALLEL:
            return [slice(0, len(self.lengths))]
        ends = np.searchsorted(self.lengths.cumsum(), np.arange(1, threads) * (total / threads)).tolist()
        edges = [0, *ends, len(self.lengths)]
        return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


@dataclass(frozen=True, slots=True)
class _Together:
    """Rows that decode, padded to the longest of them."""

    places: torch.Tensor  # (rows,) which token of the pass is each one's
    tables: torch.Tensor  # (rows, blocks)
    seen: torch.Tensor  # (rows, keys) bool


@dataclass(frozen=True, slots=True)
class _Pass:
    """One layer's attention."""

    query: torch.Tensor  # (T, h, d)
    key: torch.Tensor  # (g, T, d)
    value: torch.Tensor
    keys: torch.Tensor  # all blocks, this pass's tokens included
    values: torch.Tensor
    rule: Rule
    scale: float
    cap: float


def _decode_together(pass_: _Pass, rows: _Together, out: torch.Tensor) -> None:
    """The compiled kernel's work in few plain operations, however many rows there are (a GPU's way); `out` (T, h, d)
    is written. Keys and values that a row does not see may be anything, so they are cleared."""
    unseen = ~rows.seen[:, None, :, None]
    key, value = (
        memory[rows.tables].transpose(1, 2).flatten(2, 3).masked_fill_(unseen, 0)  # (rows, g, keys, d)
        for memory in (pass_.keys, pass_.values)
    )
    query = pass_.query[rows.places][:, :, None]
    mask, groups = rows.seen[:, None, None], query.shape[1] // key.shape[1]
    if pass_.cap:
        scores = query @ repeat_kv(key, groups).transpose(2, 3) * pass_.scale
        scores = (torch.tanh(scores / pass_.cap) * pass_.cap).masked_fill(~mask, float("-inf"))
        attended = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype) @ repeat_kv(value, groups)
    else:
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, mask, scale=pass_.scale, enable_gqa=groups > 1
        )
    out[rows.places] = attended[:, :, 0]


def _read(pass_: _Pass, piece: _Reading, batch: _Batch) -> torch.Tensor:
    """Attention of one piece (count, h, d) over all of its sequence so far, in plain tensor operations."""
    span = slice(piece.first, piece.first + piece.count)
    query = pass_.query[span].transpose(0, 1)
    if piece.start == 0:
        key, value = pass_.key[:, span], pass_.value[:, span]
    else:
        key, value = (_gathered(memory, piece) for memory in (pass_.keys, pass_.values))
    is_plain = piece.start == 0 and (pass_.rule.window == 0 or 0 < piece.stop <= pass_.rule.window)
    mask = None if is_plain else _mask(pass_.rule, piece, batch, query.device)
    groups = query.shape[0] // key.shape[0]
    if not pass_.cap:
        out = torch.nn.functional.scaled_dot_product_attention(
            query[None],
            key[None],
            value[None],
            mask,
            is_causal=is_plain and piece.count > 1,
            scale=pass_.scale,
            enable_gqa=groups > 1,
        )
        return out[0].transpose(0, 1)
    scores = query @ repeat_kv(key[None], groups)[0].transpose(1, 2) * pass_.scale
    scores = torch.tanh(scores / pass_.cap) * pass_.cap
    if mask is None:
        mask = _mask(pass_.rule, piece, batch, query.device)
    scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ repeat_kv(value[None], groups)[0]).transpose(0, 1)


def _gathered(memory: torch.Tensor, piece: _Reading) -> torch.Tensor:
    """What lies in a piece's blocks of (blocks, g, size, d), side by side: (g, stop, d)."""
    _, heads, size, dim = memory.shape
    table = piece.table[: -(-piece.stop // size)]
    if not _is_compiled_for(memory):
        return memory[torch.tensor(table, device=memory.device)].transpose(0, 1).flatten(1, 2)[:, : piece.stop]
    out = memory.new_empty((heads, piece.stop, dim))
    decode_kernel.gather(_array(memory), np.asarray(table), _array(out))
    return out


def _mask(rule: Rule, piece: _Reading, batch: _Batch, device: torch.device) -> torch.Tensor:
    """Which keys (k) each query (q) of a piece sees: bool (q, k). Kept for the other layers of this kind."""
    kind = (piece.first, rule.window)
    if rule.window < 0 or kind not in batch.masks:
        batch.masks[kind] = _allowed(rule.allows, piece.start, piece.stop, device)
    return batch.masks[kind]


def _allowed(allows: MaskFunction, start: int, stop: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Bool (stop - start, stop)."""
    zero = torch.zeros((), dtype=torch.long, device=device)
    queries = torch.arange(start, stop, device=device)[:, None]
    keys = torch.arange(stop, device=device)[None]
    return allows(zero, zero, queries, keys).expand(stop - start, stop)


def _window_of(allows: MaskFunction, local_size: int | None) -> int:
    """Of a rule that says no more than 'the last so many'; -1 of any other, found by asking for some positions."""
    window = local_size or 0
    stop = 2 * window + 3
    seen = _allowed(allows, 0, stop)
    queries, keys = torch.arange(stop)[:, None], torch.arange(stop)[None]
    expected = (keys <= queries) & ((keys > queries - window) if window else True)
    return window if bool((seen == expected).all()) else -1


def _untouched(like: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Zeros; on a CPU as pages that the operating system provides when they are first written (PyTorch writes them
    all), two mebibytes at a time, because small ones cost more than what is written to them."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    memory = mmap.mmap(-1, math.prod(shape) * like.element_size())
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)


def _is_compiled_for(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.bfloat16)


def _array(tensor: torch.Tensor) -> Any:
    """The same memory as a NumPy array; bfloat16 as its bits."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
