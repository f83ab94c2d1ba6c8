"""What may come next while a model thinks about a picture: after each step what the executor found, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision.reasoning.guide import RESULTS_ONLY, Guide
from vision.scenes.scene import SceneObject
from workers.engine.base import Mask


@dataclass(frozen=True, slots=True)
class ThoughtGrammar:
    """Implements workers.engine.base.Grammar. Goes to an engine in another process as it is."""

    objects: tuple[SceneObject, ...]  # of the picture that is talked about, numbered from 1
    control: Mapping[str, int]  # token ids of the control tokens of visual reasoning, by name
    vocabulary: int

    def begin(self, generated: Sequence[int]) -> ThoughtState:
        state = ThoughtState(self)
        state.accept(generated)
        return state


class ThoughtState:
    """Implements workers.engine.base.GrammarState."""

    is_complete = False

    def __init__(self, grammar: ThoughtGrammar) -> None:
        self._control = grammar.control
        self._names = {token_id: name for name, token_id in grammar.control.items()}
        self._guide = Guide(grammar.objects)
        self._free = np.ones(grammar.vocabulary, dtype=np.bool_)

    def allowed(self) -> Mask:
        forced = self._guide.forced
        if forced is not None:
            mask = np.zeros_like(self._free)
            mask[self._control[forced]] = True
            return mask
        if not self._guide.is_thinking:
            return self._free
        mask = self._free.copy()
        mask[[self._control[name] for name in RESULTS_ONLY]] = False
        return mask

    def settle(self, token_id: int, left: int) -> int:
        """A sentence that is cut is no worse for it."""
        return token_id

    def accept(self, token_ids: Sequence[int]) -> None:
        for token_id in token_ids:
            self._guide.accept(self._names.get(token_id))
