"""The compiled attention and the one in plain tensor operations give the same."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from transformers.masking_utils import causal_mask_function, sliding_window_causal_mask_function

from workers.engine import paged_attention
from workers.engine.paged_attention import PagedCache, Rule
from workers.engine.scheduler import Piece

CAUSAL: Any = causal_mask_function
WINDOW_OF_4: Any = sliding_window_causal_mask_function(4)

SIZE = 8


class Layer(torch.nn.Module):
    layer_idx = 0


def passes(seed: int, blocks: int) -> list[list[Piece]]:
    """Three sequences that grow in pieces of different lengths, in blocks that lie anywhere."""
    chance = random.Random(seed)
    free = chance.sample(range(blocks), blocks)
    done, made = [0, 0, 0], []
    tables: list[list[int]] = [[], [], []]
    for _ in range(6):
        pieces = []
        for row in chance.sample(range(3), 3):
            count = chance.choice([0, 1, 1, 5, 19])
            while len(tables[row]) * SIZE < done[row] + count:
                tables[row].append(free.pop())
            if count:
                pieces.append(Piece(str(row), done[row], done[row] + count, list(tables[row]), True))
                done[row] += count
        if pieces:
            made.append(pieces)
    return made


class OneByOne(PagedCache):
    """The obvious way: every piece by itself, in plain operations."""

    def _attend(self, pass_: Any) -> torch.Tensor:
        out = torch.zeros_like(pass_.query)
        for piece in (*self._batch.reading, *self._batch.decoding):
            out[piece.first : piece.first + piece.count] = paged_attention._read(pass_, piece, self._batch)
        return out


def attended(
    made: list[list[Piece]],
    heads: tuple[int, int],
    dim: int,
    dtype: torch.dtype,
    rule: Any,
    cap: float,
    threads: int,
    kind: type[PagedCache] = PagedCache,
) -> list[torch.Tensor]:
    torch.manual_seed(1)
    cache = kind(64, SIZE, threads)
    outputs = []
    for pieces in made:
        cache.begin(pieces)
        tokens = sum(piece.stop - piece.start for piece in pieces)
        query = torch.randn(1, heads[0], tokens, dim).to(dtype)
        key, value = (torch.randn(1, heads[1], tokens, dim).to(dtype) for _ in range(2))
        cache.update(key, value, 0)
        out, _ = cache._attention(Layer(), query, key, value, rule(cache), scaling=0.3, softcap=cap or None)
        outputs.append(out)
    return outputs


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("window", [0, 5, 20])
@pytest.mark.parametrize("cap", [0.0, 2.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_rows_that_decode_get_what_they_get_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
    heads: tuple[int, int],
    window: int,
    cap: float,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    allows: Any = sliding_window_causal_mask_function(window) if window else causal_mask_function

    def rule(cache: PagedCache) -> Rule:
        return cache._rule(allows, None, window or None)

    for seed, dim, threads in itertools.product(range(3), (6, 16), (1, 3)):
        monkeypatch.setattr(paged_attention, "_PARALLEL", 1)
        compiled = attended(passes(seed, 64), heads, dim, dtype, rule, cap, threads)
        with monkeypatch.context() as patched:
            patched.setattr(paged_attention, "_is_compiled_for", lambda tensor: False)
            patched.setattr(paged_attention, "_MOST_TOGETHER", 40)  # so that they come in groups
            together = attended(passes(seed, 64), heads, dim, dtype, rule, cap, 1)
            expected = attended(passes(seed, 64), heads, dim, dtype, rule, cap, 1, OneByOne)

        for by_kernel, by_groups, one_by_one in zip(compiled, together, expected, strict=True):
            torch.testing.assert_close(by_kernel, one_by_one, atol=tolerance, rtol=tolerance)
            torch.testing.assert_close(by_groups, one_by_one, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_what_lies_in_the_rest_of_a_block_touches_nobody(monkeypatch: pytest.MonkeyPatch, is_compiled: bool) -> None:
    monkeypatch.setattr(paged_attention, "_is_compiled_for", lambda tensor: is_compiled)
    made = passes(0, 64)
    clean = attended(made, (4, 2), 16, torch.float32, plain, 0.0, 1)

    class Dirty(PagedCache):
        def begin(self, pieces: Any) -> None:
            super().begin(pieces)
            for tensor in (*self._keys.values(), *self._values.values()):
                written = {place for each in made[: made.index(pieces)] for piece in each for place in _places(piece)}
                for place in set(range(64 * SIZE)) - written:
                    tensor[place // SIZE, :, place % SIZE] = float("nan")

    dirty = attended(made, (4, 2), 16, torch.float32, plain, 0.0, 1, Dirty)

    for one, other in zip(clean, dirty, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def plain(cache: PagedCache) -> Rule:
    return cache._rule(CAUSAL, None)


def _places(piece: Piece) -> list[int]:
    return [piece.table[position // SIZE] * SIZE + position % SIZE for position in range(piece.start, piece.stop)]


def test_a_rule_that_is_no_window_is_seen_as_another() -> None:
    def chunked(row: Any, head: Any, query: Any, key: Any) -> Any:
        return (query // 4 == key // 4) & (key <= query)

    cache = PagedCache(4, SIZE)

    assert cache._rule(chunked, None, 4).window == -1
    assert cache._rule(WINDOW_OF_4, None, 4).window == 4
    assert cache._rule(CAUSAL, None).window == 0
