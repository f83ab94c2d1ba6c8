"""Conversations with pictures as ids and loss masks, as serving renders them, whatever the model's chat template.

The loss counts on the assistant's words and on the token that ends them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from shared.chat import Message
from shared.prompting import prompt_ids, told_ids
from training.conversations import Encoded, token_id
from training.llava_rows import Unusable


class PictureChatEncoder:
    """Turns conversations into ids and masks.

    `picture_tokens`: vectors of a picture; `stops`: ids that end an answer beside the tokenizer's own, which
    is put where a template ends answers with none. Raises: ValueError: nothing ends an answer."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        image_token: str,
        picture_tokens: int,
        stops: frozenset[int],
        max_tokens: int,
    ) -> None:
        self._tokenizer: Any = tokenizer
        self._image_token, self._picture_tokens, self._max_tokens = image_token, picture_tokens, max_tokens
        self._image_id = token_id(tokenizer, image_token)
        if not isinstance(tokenizer.eos_token_id, int):
            raise ValueError("the tokenizer names no token that ends an answer (eos_token)")
        self._end = tokenizer.eos_token_id
        self._stops = stops | {self._end}

    def encode(self, turns: Sequence[Message]) -> list[Encoded]:
        """One row where the template renders every answer the same whatever follows it; else one for each answer, as
        serving sees it when it is the last. Raises: Unusable."""
        try:
            parts = [self._last_answer(turns[: end + 1]) for end in range(1, len(turns), 2)]
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise Unusable("template", str(error)) from error
        joined = self._joined(parts)
        rows = [self._shown(part) for part in ([joined] if joined else parts)]
        if (longest := max(map(len, rows))) > self._max_tokens:
            raise Unusable("too_long", f"{longest} tokens")
        return rows

    def _last_answer(self, turns: Sequence[Message]) -> Encoded:
        """The loss counts on the last answer and on what ends it."""
        prompt = prompt_ids(turns[:-1], self._tokenizer, self._image_token)
        if prompt.count(self._image_id) != sum(len(turn.pictures) for turn in turns):
            raise Unusable("template", "it leaves out pictures")
        told = told_ids(turns, self._tokenizer, self._image_token)
        if told[: len(prompt)] != prompt:
            raise Unusable("template", "an answer does not continue its prompt")
        answer = told[len(prompt) :]
        ends = [place for place, each in enumerate(answer) if each in self._stops]
        answer = answer[: ends[-1] + 1] if ends else [*answer, self._end]
        return Encoded([*prompt, *answer], [0] * len(prompt) + [1] * len(answer))

    @staticmethod
    def _joined(parts: Sequence[Encoded]) -> Encoded | None:
        """All answers in one row, if each part begins with the one before. A part is cut behind its end, so whatever
        the template writes after that does not count."""
        for before, after in itertools.pairwise(parts):
            if after.ids[: len(before.ids)] != before.ids:
                return None
        mask = list(parts[-1].mask)
        for part in parts[:-1]:
            mask[: len(part.mask)] = [known | counts for known, counts in zip(mask, part.mask, strict=False)]
        return Encoded(parts[-1].ids, mask)

    def _shown(self, row: Encoded) -> Encoded:
        """With as many placeholders for a picture as it has vectors."""
        ids: list[int] = []
        mask: list[int] = []
        for each, counts in zip(row.ids, row.mask, strict=True):
            times = self._picture_tokens if each == self._image_id else 1
            ids += [each] * times
            mask += [counts] * times
        return Encoded(ids, mask)

    def pictures_of(self, row: Encoded) -> int:
        """How many pictures a row shows."""
        return row.ids.count(self._image_id) // self._picture_tokens
