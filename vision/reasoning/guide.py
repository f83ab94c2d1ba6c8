"""The executor inside a chain of thought: the model writes each step of a program, and what it came to is put in.

So an answer rests on what was read off the picture and not on a language model's counting; the model says what to look
for and puts the result into words. This is the neural-symbolic division of NS-VQA (arXiv:1810.02338), token by token. A
function of the tokens written so far, so another worker goes on with the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from vision.reasoning.tokens import COUNTS, IS, NO, NOTHING, NUMBERS, REASONS, UNKNOWN, YES, control
from vision.reasoning.trace import read_trace, result_of_last
from vision.scenes.programs import OPERATIONS, ProgramError
from vision.scenes.scene import SceneObject

# What only a result can be: it never stands where the model is free to write.
RESULTS_ONLY = frozenset({*NUMBERS, *COUNTS, YES, NO, NOTHING, UNKNOWN, *map(control, REASONS)})
_OPERATIONS = frozenset(map(control, OPERATIONS))


class Guide:
    """Of one answer. Feed it every token by name; None for one that is no control token."""

    def __init__(self, objects: Sequence[SceneObject]) -> None:
        """`objects`: what was listed of the picture, their ids are their numbers from 1."""
        self._objects = objects
        self._thought: list[str] = []
        self._results: list[str] = []  # to come
        self._is_over = False  # the sentence has begun, or what was written is no program

    @property
    def forced(self) -> str | None:
        """The token that must come next. None: the model is free, but for RESULTS_ONLY while it thinks."""
        return self._results[0] if self._results else None

    @property
    def is_thinking(self) -> bool:
        return bool(self._thought) and not self._is_over

    def accept(self, token: str | None) -> None:
        if self._is_over:
            return
        if token is None or (not self._thought and token not in _OPERATIONS):
            self._is_over = True
            return
        self._thought.append(token)
        if self._results:
            self._results.pop(0)
        elif token == IS:
            self._results = self._come_to()
            self._is_over = not self._results

    def _come_to(self) -> list[str]:
        program = read_trace(self._thought)
        if program is None:
            return []
        try:
            return result_of_last(program, self._objects)
        except ProgramError:
            return []
