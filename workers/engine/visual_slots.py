"""Pictures as token ids: each id at or above the vocabulary is the number of one projected vector.

So a picture is tokens to everything that plans, shares and preempts. An id is given once and never again: what is
remembered of a beginning (block_pool.py) can be of no other picture. While a picture's vectors are kept its ids stay,
so a conversation's next turn shares what was computed of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from workers.engine.base import Picture

_MOST_UNUSED = 64  # pictures that are kept although no request shows them


_Key = tuple[str, str | None]  # a picture's digest, and the adapter that sees it otherwise


@dataclass(slots=True)
class _Seen:
    ids: range
    vectors: torch.Tensor  # (tokens, width)
    holders: int


class VisualSlots:
    """Belongs to the model's thread."""

    def __init__(
        self, vocabulary: int, see: Callable[[Picture], torch.Tensor], *, most_unused: int = _MOST_UNUSED
    ) -> None:
        """`see`: a picture's vectors (tokens, width), as the language model reads them."""
        self._vocabulary = vocabulary
        self._see = see
        self._most_unused = most_unused
        self._next = vocabulary
        self._seen: OrderedDict[_Key, _Seen] = OrderedDict()  # longest unused first
        self._rows: dict[int, torch.Tensor] = {}  # by id (width,)

    def hold(self, picture: Picture, view: str | None = None) -> range:
        """Its ids, good until `release`. Takes a pass of the vision tower if it is new, and raises what that raises.
        `view`: the adapter that changes what is seen."""
        seen = self._seen.get((picture.digest, view))
        if seen is None:
            vectors = self._see(picture)
            seen = _Seen(range(self._next, self._next + len(vectors)), vectors, 0)
            self._next = seen.ids.stop
            self._seen[picture.digest, view] = seen
            self._rows.update(zip(seen.ids, vectors, strict=True))
        seen.holders += 1
        self._seen.move_to_end((picture.digest, view))
        return seen.ids

    def release(self, picture: Picture, view: str | None = None) -> None:
        """As it was held."""
        self._seen[picture.digest, view].holders -= 1
        unused = [key for key, seen in self._seen.items() if not seen.holders]
        for key in unused[: max(0, len(unused) - self._most_unused)]:
            for slot in self._seen.pop(key).ids:
                del self._rows[slot]

    def places(self, ids: Sequence[int]) -> list[int]:
        """Which of these token ids are a picture's."""
        return [place for place, token_id in enumerate(ids) if token_id >= self._vocabulary]

    def vectors(self, ids: Sequence[int]) -> torch.Tensor:
        """(ids, width)"""
        return torch.stack([self._rows[slot] for slot in ids])


def with_slots(prompt: Sequence[int], placeholder: int, slots: Sequence[range]) -> list[int]:
    """The prompt with its placeholders replaced, in order; there are as many as slots (admission.py)."""
    each = iter([slot for ids in slots for slot in ids])
    return [next(each) if token_id == placeholder else token_id for token_id in prompt]
