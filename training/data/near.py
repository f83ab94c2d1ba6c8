"""Texts that are nearly the same: Jaccard of their shingles (runs of five letters), exactly and without all pairs.

MinHash would miss some; here each text is looked up by its rarest shingles only: two sets that share at least the
threshold of their union must share one of the rarest `n - ceil(threshold n) + 1` of each (prefix filtering: Chaudhuri
et al. 2006; Bayardo et al. 2007). Most shingles of most texts occur once, so there is little to look up. It does not
look at meaning.

How to run: `nearest(texts)` for doubles, `nearest(known + texts, boundary=len(known))` for texts in `known`.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SHINGLE = 5  # letters
THRESHOLD = 0.8
Hashes = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, of mixed bits: 2**64 / golden ratio


@dataclass(frozen=True)
class Match:
    """A text that came before and is nearly the same."""

    place: int  # in the texts that were given
    similarity: float  # Jaccard, from the threshold to 1


def letters(text: str) -> str:
    """What is compared of a text: its letters and digits (NFC), in small letters."""
    return "".join(c for c in unicodedata.normalize("NFC", text) if c.isalnum()).lower()


def windows(kept: str, size: int) -> Hashes:
    """A hash of each run of `size` letters, in order; the whole text where it is shorter.

    Returns: (max(1, len(kept) - size + 1),) uint64."""
    codes = np.frombuffer(kept.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    size = min(size, len(codes))
    count = len(codes) - size + 1
    found = np.zeros(count, dtype=np.uint64)
    for offset in range(size):
        found = (found + codes[offset : offset + count] + np.uint64(1)) * _FACTOR
        found ^= found >> np.uint64(29)
    return found


def nearest(texts: Sequence[str], threshold: float = THRESHOLD, boundary: int | None = None) -> list[Match | None]:
    """For each text a text before it that is nearly the same, or None.

    Without a boundary, a text that has a match is no match for later ones: keeping those without one keeps one of each
    group. With it, only the texts before it can be matches, and only those from it on are looked up."""
    sets = [np.unique(windows(letters(text), SHINGLE)) for text in texts]
    rarest = _rarest(sets, threshold)
    index: defaultdict[int, list[int]] = defaultdict(list)
    found: list[Match | None] = []
    for place, prefix in enumerate(rarest):
        is_looked_up = boundary is None or place >= boundary
        match = _first_match(place, prefix, sets, index, threshold) if is_looked_up else None
        found.append(match)
        is_kept = match is None if boundary is None else place < boundary
        if is_kept:
            for shingle in prefix:
                index[shingle].append(place)
    return found


def _rarest(sets: list[Hashes], threshold: float) -> list[list[int]]:
    """Of each set the rarest shingles that decide; those that occur in no other set are left out of them."""
    if not sets:
        return []
    known, counts = np.unique(np.concatenate(sets), return_counts=True)
    chosen = []
    for shingles in sets:
        often = counts[np.searchsorted(known, shingles)]
        order = np.lexsort((shingles, often))  # all sets break ties alike
        needed = math.ceil(threshold * len(shingles) - 1e-9)  # 0.8 * 35 is a little more than 28
        prefix = order[: len(shingles) - needed + 1]
        chosen.append(shingles[prefix[often[prefix] > 1]].tolist())
    return chosen


def _first_match(
    place: int, rarest: list[int], sets: list[Hashes], index: defaultdict[int, list[int]], threshold: float
) -> Match | None:
    shingles = sets[place]
    tried: set[int] = set()
    for shingle in rarest:
        for other in index.get(shingle, ()):
            if other in tried:
                continue
            tried.add(other)
            small, large = sorted((len(shingles), len(sets[other])))
            if small < threshold * large:
                continue
            shared = len(np.intersect1d(shingles, sets[other], assume_unique=True))
            similarity = shared / (small + large - shared)
            if similarity >= threshold:
                return Match(other, similarity)
    return None
