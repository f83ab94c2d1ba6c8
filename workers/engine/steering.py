"""What a request's own tokens do to the next one's logits: penalties for repeating, and a grammar. In this order:

    logit / repetition_penalty if positive, else logit * repetition_penalty, of tokens in prompt or answer
                                                          (as in transformers; the idea: CTRL, arXiv:1909.05858)
    logit - frequency_penalty * times(token) - presence_penalty * [token was there]     (OpenAI's definition)
    -inf for what the grammar does not allow

A function of the request's tokens alone, so another worker continues with the same tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from shared.errors import GenerationError
from workers.engine import admission
from workers.engine.base import JsonSchema, Mask, Request


class Steering:
    """Of one request that asked for it; most do not, and have none."""

    def __init__(self, request: Request, longest: int) -> None:
        """`longest`: tokens the answer may have. Raises GenerationError where the grammar does."""
        self._left = longest - len(request.generated)
        self._frequency = request.frequency_penalty
        self._presence = request.presence_penalty
        self._counts = Counter(request.generated)
        self.repetition_penalty = request.repetition_penalty
        self._seen = set(request.prompt).union(request.generated) if request.repetition_penalty != 1 else None
        self.seen_ids: npt.NDArray[np.int64] = np.array(sorted(self._seen or ()), dtype=np.int64)  # to be penalised
        if isinstance(request.grammar, JsonSchema):
            raise GenerationError("the schema was not compiled")
        self._grammar = request.grammar.begin(request.generated) if request.grammar else None

    @staticmethod
    def of(request: Request, context_length: int) -> Steering | None:
        is_penalised = request.frequency_penalty or request.presence_penalty or request.repetition_penalty != 1
        asked = is_penalised or request.grammar
        return Steering(request, admission.longest(request, context_length)) if asked else None

    @property
    def is_complete(self) -> bool:
        """The grammar lets nothing more follow."""
        return self._grammar is not None and self._grammar.is_complete

    def accept(self, token_id: int) -> None:
        """Raises GenerationError."""
        self._left -= 1
        self._counts[token_id] += 1
        if self._seen is not None and token_id not in self._seen:
            self._seen.add(token_id)
            self.seen_ids = np.append(self.seen_ids, token_id)
        if self._grammar is not None:
            self._grammar.accept([token_id])

    def allowed(self) -> Mask | None:
        """None: every token. Raises GenerationError."""
        return None if self._grammar is None else self._grammar.allowed()

    def settle(self, token_id: int) -> int:
        """What is taken when this token was drawn. Raises GenerationError."""
        return token_id if self._grammar is None else self._grammar.settle(token_id, self._left)

    def penalties(self) -> tuple[list[int], list[float]]:
        """Token ids, and what is taken off their logits."""
        if not (self._frequency or self._presence):
            return [], []
        return list(self._counts), [self._frequency * count + self._presence for count in self._counts.values()]


def steer(logits: torch.Tensor, steerings: Sequence[Steering | None]) -> dict[int, Exception]:
    """Change the rows of `logits` (rows, vocab) that have a steering, in place. Returns the rows that failed."""
    penalised: list[int] = []
    ids: list[int] = []
    penalties: list[float] = []
    masked: list[int] = []
    masks: list[Mask] = []
    failures: dict[int, Exception] = {}
    _penalise_repetition(logits, steerings)
    for row, steering in enumerate(steerings):
        if steering is None:
            continue
        try:
            mask = steering.allowed()
        except Exception as error:  # it fails alone
            failures[row] = error
            continue
        if mask is not None:
            masked.append(row)
            masks.append(mask)
        row_ids, row_penalties = steering.penalties()
        penalised += [row] * len(row_ids)
        ids += row_ids
        penalties += row_penalties
    device = logits.device
    with torch.inference_mode():
        if ids:
            places = torch.tensor(penalised, device=device), torch.tensor(ids, device=device)
            logits[places] -= torch.tensor(penalties, dtype=logits.dtype, device=device)
        if masks:
            forbidden = torch.from_numpy(~np.stack(masks)).to(device)
            rows = torch.tensor(masked, device=device)
            logits[rows] = logits[rows].masked_fill_(forbidden, float("-inf"))
    return failures


def _penalise_repetition(logits: torch.Tensor, steerings: Sequence[Steering | None]) -> None:
    seen = [(row, steering) for row, steering in enumerate(steerings) if steering and len(steering.seen_ids)]
    if not seen:
        return
    lengths = [len(steering.seen_ids) for _, steering in seen]
    rows = np.repeat([row for row, _ in seen], lengths)
    ids = np.concatenate([steering.seen_ids for _, steering in seen])
    penalties = np.repeat([steering.repetition_penalty for _, steering in seen], lengths)
    device = logits.device
    with torch.inference_mode():
        places = torch.from_numpy(rows).to(device), torch.from_numpy(ids).to(device)
        penalty = torch.from_numpy(penalties).to(device, logits.dtype)
        before = logits[places]
        logits[places] = torch.where(before > 0, before / penalty, before * penalty)
