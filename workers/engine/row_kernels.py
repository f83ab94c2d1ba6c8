"""What a layer does to a few rows, compiled for the CPU it runs on.

Libraries are made for many rows: with one, PyTorch's product and oneDNN's read a weight at a fourth of the speed at
which this loop does, and PyTorch's norm starts six operations (BENCHMARKS.md).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_F = np.float32
_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; not-a-numbers stay what they are


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def multiply(x: Array, weights: Array, bias: Array, out: Array) -> None:
    """out (m, o) = x (m, i) weights (o, i)^T + bias (o,); all float32. The weights are read once for four rows."""
    rows, count = x.shape
    last = rows - rows % 4
    for o in range(weights.shape[0]):
        weight = weights[o]
        for m in range(0, last, 4):
            a, b, c, d = x[m], x[m + 1], x[m + 2], x[m + 3]
            s, t, u, v = _F(0), _F(0), _F(0), _F(0)
            for i in range(count):
                w = weight[i]
                s += a[i] * w
                t += b[i] * w
                u += c[i] * w
                v += d[i] * w
            out[m, o] = s + bias[o]
            out[m + 1, o] = t + bias[o]
            out[m + 2, o] = u + bias[o]
            out[m + 3, o] = v + bias[o]
        for m in range(last, rows):
            row = x[m]
            s = _F(0)
            for i in range(count):
                s += row[i] * weight[i]
            out[m, o] = s + bias[o]


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def normalise(x: Array, weights: Array, epsilon: np.float32, out: Array) -> None:
    """out (m, n) = x (m, n) over its root mean square, times weights (n,); all float32."""
    rows, count = x.shape
    for m in range(rows):
        row, into = x[m], out[m]
        total = _F(0)
        for i in range(count):
            total += row[i] * row[i]
        scale = _F(1) / np.sqrt(total / _F(count) + epsilon)
        for i in range(count):
            into[i] = row[i] * scale * weights[i]


@numba.njit(fastmath=_FAST, nogil=True, cache=True)
def adapt(
    x: Array,  # (n, i), as everything here float32
    first: int,  # the rows from here
    stop: int,  # to here are changed
    a: Array,  # (r, i)
    b: Array,  # (r, o)
    gain: Array,  # (o,), or (0,): 1
    shift: Array,  # (o,), or (0,): 0
    y: Array,  # (n, at least o)
    column: int,  # of y, where the o begin
) -> None:
    """y = y gain + shift + (x A^T) B in its rows and columns."""
    rank, outputs = b.shape
    inner = np.empty((stop - first, rank), np.float32)
    multiply(x[first:stop], a, np.zeros(rank, np.float32), inner)
    last = rank - rank % 4
    for m in range(stop - first):
        row, factors = y[first + m, column : column + outputs], inner[m]
        if len(gain) > 0:
            for o in range(outputs):
                row[o] = row[o] * gain[o] + shift[o]
        for r in range(0, last, 4):
            p, q, s, t = factors[r], factors[r + 1], factors[r + 2], factors[r + 3]
            c, d, e, f = b[r], b[r + 1], b[r + 2], b[r + 3]
            for o in range(outputs):
                row[o] += (p * c[o] + q * d[o]) + (s * e[o] + t * f[o])
        for r in range(last, rank):
            p, c = factors[r], b[r]
            for o in range(outputs):
                row[o] += p * c[o]
