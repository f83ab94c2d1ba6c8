"""Attention of one new token per row over blocks of KV memory, compiled for the CPU it runs on.

PyTorch has no such operation on a CPU: its fused attention wants each row's keys in one piece, padded to the longest,
and reads them at half the memory's speed where every row has a single query. Numba compiles these few loops with an
LLVM of its own, so nothing needs a compiler; the machine code is kept beside this file.

    keys, values    (blocks, kv heads, size, head dim)     a block of both lies together, as a row meets it

float32, or bfloat16 as its bits (uint16), widened where it is read. Sums are float32.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import overload

Array = npt.NDArray[Any]
_F = np.float32
_LOWEST = _F(-3.0e38)


def _wide(x: Any) -> Any:
    return x


@overload(_wide, inline="always", strict=False)
def _wide_of(x: Any) -> Any:
    if isinstance(x, numba.types.Float):
        return lambda x: x
    return lambda x: np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)


_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; not-a-numbers stay what they are


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def _dots(vector: Array, rows: Array, products: Array) -> None:
    """The products of `vector` (n,) with each of `rows` (m, n)."""
    most, count = rows.shape
    last = most - most % 4
    for m in range(0, last, 4):
        a, b, c, d = rows[m], rows[m + 1], rows[m + 2], rows[m + 3]
        s, t, u, v = _F(0), _F(0), _F(0), _F(0)
        for i in range(count):
            x = vector[i]
            s += x * _wide(a[i])
            t += x * _wide(b[i])
            u += x * _wide(c[i])
            v += x * _wide(d[i])
        products[m] = s
        products[m + 1] = t
        products[m + 2] = u
        products[m + 3] = v
    for m in range(last, most):
        row = rows[m]
        s = _F(0)
        for i in range(count):
            s += vector[i] * _wide(row[i])
        products[m] = s


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def _add_weighted(weights: Array, rows: Array, total: Array) -> None:
    """Add `rows` (m, n), each times its weight (m,), to `total` (n,)."""
    most, count = rows.shape
    last = most - most % 4
    for m in range(0, last, 4):
        a, b, c, d = rows[m], rows[m + 1], rows[m + 2], rows[m + 3]
        p, q, r, s = weights[m], weights[m + 1], weights[m + 2], weights[m + 3]
        for i in range(count):
            total[i] += (p * _wide(a[i]) + q * _wide(b[i])) + (r * _wide(c[i]) + s * _wide(d[i]))
    for m in range(last, most):
        row, weight = rows[m], weights[m]
        for i in range(count):
            total[i] += weight * _wide(row[i])


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def _softmax(scores: Array, start: int, stop: int, cap: np.float32) -> None:
    """In place over scores[start:stop]. `cap`: tanh(x / cap) * cap first; 0: off."""
    greatest = _LOWEST
    for t in range(start, stop):
        if cap > 0:
            scores[t] = np.tanh(scores[t] / cap) * cap
        greatest = max(greatest, scores[t])
    total = _F(0)
    for t in range(start, stop):  # exp by range reduction and a polynomial (Cephes expf), because it vectorises
        x = max(scores[t] - greatest, _F(-87.0))
        k = np.floor(x * _F(1.44269504) + _F(0.5))
        r = x - k * _F(0.693359375) - k * _F(-2.12194440e-4)
        p = _F(1.9875691500e-4)
        p = p * r + _F(1.3981999507e-3)
        p = p * r + _F(8.3334519073e-3)
        p = p * r + _F(4.1665795894e-2)
        p = p * r + _F(1.6666665459e-1)
        p = p * r + _F(5.0000001201e-1)
        p = p * r * r + r + _F(1)
        scores[t] = p * np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
        total += scores[t]
    share = _F(1) / total
    for t in range(start, stop):
        scores[t] *= share


@numba.njit(nogil=True, cache=True)
def attend(
    queries: Array,  # (tokens, heads, head dim) float32
    places: Array,  # (rows,) which token is each row's
    tables: Array,  # (rows, most blocks) int32
    lengths: Array,  # (rows,) int32: keys each row sees, its own included
    keys: Array,
    values: Array,
    scale: np.float32,
    window: int,  # only the last so many keys are seen; 0: all
    cap: np.float32,  # scores are capped by tanh; 0: not
    out: Array,  # (tokens, heads, head dim) float32; the rows' places are written
) -> None:
    kv_heads, size = keys.shape[1], keys.shape[2]
    heads, dim = queries.shape[1], queries.shape[2]
    group = heads // kv_heads
    scores = np.zeros((heads, tables.shape[1] * size), np.float32)
    query = np.zeros((heads, dim), np.float32)
    for row in range(places.shape[0]):
        place, length = places[row], lengths[row]
        start = max(0, length - window) if window > 0 else 0
        first, blocks = start // size, (length + size - 1) // size
        for head in range(heads):
            for i in range(dim):
                query[head, i] = queries[place, head, i] * scale
        for b in range(first, blocks):
            block = tables[row, b]
            count = min(size, length - b * size)  # what lies behind is another's, and may be anything
            for head in range(heads):
                rows = keys[block, head // group, :count]
                _dots(query[head], rows, scores[head, b * size : b * size + count])
        for head in range(heads):
            _softmax(scores[head], start, length, cap)
            for t in range(first * size, start):
                scores[head, t] = _F(0)
            out[place, head, :] = _F(0)
        for b in range(first, blocks):
            block = tables[row, b]
            count = min(size, length - b * size)
            for head in range(heads):
                rows = values[block, head // group, :count]
                _add_weighted(scores[head, b * size : b * size + count], rows, out[place, head])


@numba.njit(nogil=True, cache=True)
def store(new_keys: Array, new_values: Array, slots: Array, keys: Array, values: Array) -> None:
    """Write new keys and values (tokens, kv heads, head dim) at `slots` (tokens,): block * size + place."""
    size = keys.shape[2]
    for token in range(slots.shape[0]):
        block, place = slots[token] // size, slots[token] % size
        for head in range(keys.shape[1]):
            for i in range(keys.shape[3]):
                keys[block, head, place, i] = new_keys[token, head, i]
            for i in range(values.shape[3]):
                values[block, head, place, i] = new_values[token, head, i]


@numba.njit(nogil=True, cache=True)
def gather(memory: Array, table: Array, out: Array) -> None:
    """Copy the blocks (g, size, d) that `table` names into out (g, tokens, d), one behind another."""
    size, tokens = memory.shape[2], out.shape[1]
    for head in range(out.shape[0]):
        for b in range(len(table)):
            start = b * size
            count = min(size, tokens - start)
            out[head, start : start + count] = memory[table[b], head, :count]


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def rotate_and_store(
    states: Array,  # (tokens, heads + 2 kv heads, head dim) float32: queries, keys, values; keys are rotated in place
    cosines: Array,  # (tokens, head dim)
    sines: Array,
    queries: Array,  # (tokens, heads, head dim); the rotated ones are written
    slots: Array,  # (tokens that count,)
    keys: Array,
    values: Array,
) -> None:
    """Rotary positions as Llama has them: of each head's first and second half, one is the other's imaginary part."""
    heads, kv_heads, size, half = queries.shape[1], keys.shape[1], keys.shape[2], queries.shape[2] // 2
    for token in range(slots.shape[0]):
        cos, sin = cosines[token], sines[token]
        block, place = slots[token] // size, slots[token] % size
        for head in range(heads):
            state, query = states[token, head], queries[token, head]
            for i in range(half):
                query[i] = state[i] * cos[i] - state[half + i] * sin[i]
                query[half + i] = state[half + i] * cos[half + i] + state[i] * sin[half + i]
        for head in range(kv_heads):
            state, key = states[token, heads + head], keys[block, head, place]
            for i in range(half):
                real, imaginary = state[i], state[half + i]
                state[i] = real * cos[i] - imaginary * sin[i]
                state[half + i] = imaginary * cos[half + i] + real * sin[half + i]
            for i in range(2 * half):
                key[i] = state[i]
                values[block, head, place, i] = states[token, heads + kv_heads + head, i]
