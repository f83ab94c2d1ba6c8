"""Choosing the next token. The choice depends on (logits, seed, token index) alone: not on the batch, the step or
the worker, so another worker continues an answer with the same tokens.

    1. probabilities = softmax(logits / temperature)
    2. top_k: keep the k likeliest; all that tie with the k-th stay
    3. top_p: of those, likeliest first and ties by token id, keep the shortest beginning that holds `top_p`
    4. min_p: of those, keep what is at least `min_p` times as likely as the likeliest
    5. of what is kept, the token with the greatest logit / temperature + gumbel(seed, index, token)

Steps 2 to 4 stand in the order of transformers' `generate`: a top_p or top_k means the same with a min_p and without.
Step 5 draws each token as often as it is likely (the Gumbel-max trick: E. J. Gumbel, 1954) and hardly minds how the
logits were rounded, which differs between batches and devices by some 1e-6: a choice changes only where the best two
are that near. Looking up one random number in the running sum of probabilities minds it much more, because
everything before the place moves the place: over a flat distribution some 1,000 times as often.

The device only finds the likeliest candidates; everything after is float64 on the CPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from workers.engine.base import Request

_SPARE = 32  # candidates beyond top_k, for ties
_NUCLEUS = 512  # candidates first looked at where top_k is off

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """How one row's token is chosen."""

    temperature: float  # 0: the likeliest, ties by token id
    top_p: float  # in (0, 1]
    top_k: int  # 0: off
    seed: int
    index: int  # of the token in its answer
    min_p: float = 0.0  # in [0, 1]; 0: off

    @classmethod
    def of(cls, request: Request, index: int) -> Draw:
        """Of the token at this place of its answer."""
        return cls(request.temperature, request.top_p, request.top_k, request.seed, index, request.min_p)


def gumbel(seed: int, index: int, tokens: Ids) -> Floats:
    """The noise of each of `tokens` (any shape) at one place of an answer: standard Gumbel, the same on every machine.

    SplitMix64 (Steele, Lea and Flood, 2014), started at a hash of seed and index, read at the token's place.
    """
    start = int.from_bytes(hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest(), "big")
    bits = tokens.astype(np.uint64)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    bits += np.uint64(start)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53  # in (0, 1)
    noise: Floats = -np.log(-np.log(uniform))
    return noise


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
    asked = [draws[row] for row in rows]
    is_kept = _first(values, asked)
    tokens = _pick(values, ids, asked, is_kept)
    if width < vocabulary:
        for place in np.flatnonzero(is_kept[:, -1]):  # more ties than candidates
            tokens[place] = _draw_from_all(logits[rows[place]], asked[place])
    return tokens


def _draw_unlimited(logits: torch.Tensor, draw: Draw) -> int:
    """One row without a top_k. Its likeliest tokens usually hold `top_p` or all above `min_p`; else all are sorted."""
    if draw.top_p >= 1:
        everything = logits.double().cpu().numpy()
        if draw.min_p:
            weights = np.exp((everything - everything.max()) / draw.temperature)
            kept = np.flatnonzero(weights >= draw.min_p)
            return int(kept[np.argmax(everything[kept] / draw.temperature + gumbel(draw.seed, draw.index, kept))])
        return int(np.argmax(everything / draw.temperature + gumbel(draw.seed, draw.index, np.arange(len(logits)))))
    values, ids = _likeliest(logits[None], min(_NUCLEUS, len(logits)))
    everything = logits.double().cpu().numpy()
    total = float(np.exp((everything - values[0, 0]) / draw.temperature).sum())
    certain = values[0] > values[0, -1]  # what ties with the last candidate may have a twin outside
    held = np.exp((values[0, certain] - values[0, 0]) / draw.temperature).sum()
    is_rest_unlikely = np.exp((values[0, -1] - values[0, 0]) / draw.temperature) < draw.min_p
    if is_rest_unlikely or held >= draw.top_p * total:
        return _pick(values, ids, [draw], np.ones_like(values, dtype=bool), total)[0]
    return _draw_from_all(logits, draw)


def _draw_from_all(logits: torch.Tensor, draw: Draw) -> int:
    """The rule as it stands, over the whole vocabulary."""
    values, ids = _likeliest(logits[None], len(logits))
    return _pick(values, ids, [draw], _first(values, [draw]))[0]


def _likeliest(logits: torch.Tensor, count: int) -> tuple[Floats, Ids]:
    """Values and ids (rows, count) of the likeliest tokens, in order; equal values by id."""
    if count == logits.shape[-1]:
        ranked = logits.sort(dim=-1, descending=True, stable=True)
        return ranked.values.double().cpu().numpy(), ranked.indices.cpu().numpy()
    top = logits.topk(count, dim=-1)
    values, ids = top.values.double().cpu().numpy(), top.indices.cpu().numpy()
    order = np.lexsort((ids, -values))
    return np.take_along_axis(values, order, -1), np.take_along_axis(ids, order, -1)


def _first(values: Floats, draws: Sequence[Draw]) -> npt.NDArray[np.bool_]:
    """Step 2 on values (rows, candidates), likeliest first."""
    width = values.shape[1]
    last = [min(draw.top_k or width, width) - 1 for draw in draws]
    return (values >= np.take_along_axis(values, np.array(last)[:, None], -1)) & (values > -np.inf)


def _pick(
    values: Floats, ids: Ids, draws: Sequence[Draw], is_kept: npt.NDArray[np.bool_], total: float | None = None
) -> list[int]:
    """Steps 3 to 5 on candidates (rows, candidates), likeliest first. `total`: of all weights, if some are absent."""
    scores = (values - values[:, :1]) / np.array([[draw.temperature] for draw in draws])
    weights = np.where(is_kept, np.exp(scores), 0)
    running = weights.cumsum(axis=-1)
    top_p = np.array([[draw.top_p] for draw in draws])
    nucleus = top_p * (running[:, -1:] if total is None else total)
    is_inside = np.ones_like(is_kept)
    is_inside[:, 1:] = (running[:, :-1] < nucleus) | (top_p >= 1)
    if any(draw.min_p for draw in draws):
        is_inside &= weights >= np.array([[draw.min_p] for draw in draws])
    noise = np.stack([gumbel(draw.seed, draw.index, row) for draw, row in zip(draws, ids, strict=True)])
    best = np.where(is_kept & is_inside, scores + noise, -np.inf).argmax(axis=-1)
    tokens: list[int] = np.take_along_axis(ids, best[:, None], -1)[:, 0].tolist()
    return tokens
