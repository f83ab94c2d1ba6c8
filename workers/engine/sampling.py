"""Choosing the next token. The choice depends on (logits, seed, token index) alone: not on the batch, the step or
the worker, so another worker continues an answer with the same tokens.

    1. probabilities = softmax(logits / temperature)
    2. top_k: keep the k likeliest; all that tie with the k-th stay
    3. top_p: of those, likeliest first and ties by token id, keep the shortest beginning that holds `top_p`
    4. u = uniform(seed, index); the token where the running sum of what is kept first exceeds u * its total

The device only finds the likeliest candidates; everything after is float64 on the CPU, in one fixed order, because
parallel sums on an accelerator round differently from batch to batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

_SPARE = 32  # candidates beyond top_k, for ties
_NUCLEUS = 512  # candidates first looked at where top_k is off

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draw:
    """How one row's token is chosen."""

    temperature: float  # 0: the likeliest, ties by token id
    top_p: float  # in (0, 1]
    top_k: int  # 0: off
    seed: int
    index: int  # of the token in its answer


def uniform(seed: int, index: int) -> float:
    """The random number of one token, in [0, 1]."""
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def choose(logits: torch.Tensor, draws: Sequence[Draw]) -> list[int | None]:
    """One token for each row of `logits` (rows, vocab) fp32; None where the logits are not finite."""
    best, best_ids = logits.max(dim=-1)
    tokens: list[int | None] = [
        token if finite else None
        for token, finite in zip(best_ids.tolist(), torch.isfinite(best).tolist(), strict=True)
    ]
    drawn = [row for row, draw in enumerate(draws) if draw.temperature > 0 and tokens[row] is not None]
    limited = [row for row in drawn if 0 < draws[row].top_k < logits.shape[1]]
    for row, token in zip(limited, _draw_limited(logits, draws, limited), strict=True):
        tokens[row] = token
    for row in set(drawn) - set(limited):
        tokens[row] = _draw_unlimited(logits[row], draws[row])
    return tokens


def _draw_limited(logits: torch.Tensor, draws: Sequence[Draw], rows: list[int]) -> list[int]:
    """Rows with a top_k, all at once."""
    if not rows:
        return []
    vocabulary = logits.shape[1]
    width = min(vocabulary, max(draws[row].top_k for row in rows) + _SPARE)
    values, ids = _likeliest(logits if len(rows) == len(draws) else logits[rows], width)
    tokens = []
    for row, row_values, row_ids in zip(rows, values, ids, strict=True):
        is_kept = row_values >= row_values[draws[row].top_k - 1]
        if is_kept[-1] and width < vocabulary:  # more ties than candidates
            tokens.append(_draw_from_all(logits[row], draws[row]))
        else:
            cdf = np.cumsum(_weights(row_values[is_kept], draws[row]))
            tokens.append(int(row_ids[_place(cdf, draws[row])]))
    return tokens


def _draw_unlimited(logits: torch.Tensor, draw: Draw) -> int:
    """One row without a top_k. Its likeliest tokens usually settle it; if not, all of them are sorted."""
    (values,), (ids,) = _likeliest(logits[None], min(_NUCLEUS, len(logits)))
    everything = logits.double().cpu().numpy()
    total = float(np.exp((everything - values[0]) / draw.temperature).sum())
    cdf = np.cumsum(_weights(values, draw))
    certain = cdf[values > values[-1]]  # what ties with the last candidate may have a twin outside
    if draw.top_p < 1:
        if certain.size and certain[-1] >= draw.top_p * total:
            return int(ids[_place(certain, draw, total)])
    else:
        place = int(np.searchsorted(certain, uniform(draw.seed, draw.index) * total, side="right"))
        if place < certain.size:
            return int(ids[place])
    return _draw_from_all(logits, draw)


def _draw_from_all(logits: torch.Tensor, draw: Draw) -> int:
    """The rule as it stands, over the whole vocabulary."""
    (values,), (ids,) = _likeliest(logits[None], len(logits))
    if 0 < draw.top_k < len(values):
        values = values[values >= values[draw.top_k - 1]]
    return int(ids[_place(np.cumsum(_weights(values, draw)), draw)])


def _likeliest(logits: torch.Tensor, count: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Values and ids (rows, count) of the likeliest tokens, in order; equal values by id."""
    if count == logits.shape[-1]:
        ranked = logits.sort(dim=-1, descending=True, stable=True)
        return ranked.values.double().cpu().numpy(), ranked.indices.cpu().numpy()
    top = logits.topk(count, dim=-1)
    values, ids = top.values.double().cpu().numpy(), top.indices.cpu().numpy()
    order = np.lexsort((ids, -values))
    return np.take_along_axis(values, order, -1), np.take_along_axis(ids, order, -1)


def _weights(values: Floats, draw: Draw) -> Floats:
    weights: Floats = np.exp((values - values[0]) / draw.temperature)
    return weights


def _place(cdf: Floats, draw: Draw, total: float | None = None) -> int:
    """Steps 3 and 4 on running sums of weights, likeliest first. `total`: of all weights, if `cdf` is not all."""
    nucleus = draw.top_p * (float(cdf[-1]) if total is None else total)
    length = 1 + int(np.searchsorted(cdf[:-1], nucleus, side="left"))
    place = int(np.searchsorted(cdf[:length], uniform(draw.seed, draw.index) * cdf[length - 1], side="right"))
    return min(place, length - 1)
