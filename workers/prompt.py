"""From the turns of a conversation to the token ids a model continues, within its context.

A picture stands before the text of its turn, as one placeholder while it is decided which turns fit, then as many as it
has vectors and the tokens that describe it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jinja2

from shared.chat import Generation, Message, PictureRef, Role
from shared.errors import PicturesUnsupported, PromptRefused, PromptTooLong
from shared.prompting import TokenizerLike, leaving_order, prompt_ids, told
from workers.engine.base import Looked
from workers.engine.facts import PictureFacts
from workers.pictures import Eyes

_ANSWER_SHARE = 8  # at least a 1/8 of the context is left for the answer, if it may be that long


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt that fits, with one placeholder for each of its pictures."""

    token_ids: tuple[int, ...]
    pictures: tuple[PictureRef, ...] = ()  # in the order of their placeholders
    left_out: int = 0  # turns for which there was no room

    def shown(self, facts: PictureFacts, looked: Sequence[Looked]) -> tuple[int, ...]:
        """What a request has as its prompt. `looked`: at its pictures, in their order."""
        each = iter(looked)
        return tuple(
            shown_id
            for token_id in self.token_ids
            for shown_id in (
                (*[token_id] * facts.tokens, *next(each).notes.token_ids)
                if token_id == facts.placeholder
                else (token_id,)
            )
        )


class Prompts:
    """How one model is asked. `described`: how many tokens describe a picture, by its sha256, where that is known.

    The same arguments give the same ids, so a resumed answer continues the same prompt. Tokenises: call it in a thread.
    """

    def __init__(self, tokenizer: TokenizerLike, context_length: int, max_new_tokens: int, eyes: Eyes | None) -> None:
        self._tokenizer = tokenizer
        self._limit = context_length - min(max_new_tokens, context_length // _ANSWER_SHARE)
        self._eyes = eyes

    def of(self, claimed: Generation, turns: Sequence[Generation], described: Mapping[str, int] | None = None) -> Draft:
        """What was given whole, as it is; else the conversation before (`turns`) and the question, as far as they fit.

        Raises PromptTooLong, PromptRefused if the chat template takes no such turns, and PicturesUnsupported.
        """
        described = described or {}
        given = claimed.prompt
        if given is None:
            return self._of_turns(turns, claimed, described)
        draft = Draft(tuple(self._tokenizer.encode(given))) if isinstance(given, str) else self._of_messages(given)
        self._require_fit(draft, described)
        return draft

    def _of_turns(self, turns: Sequence[Generation], claimed: Generation, described: Mapping[str, int]) -> Draft:
        """What the system says, earlier turns, then the question; without the first in `leaving_order` that do not
        fit."""
        before = told(turns)
        leaving = leaving_order(before, claimed.pins)
        question = Message(Role.USER, claimed.question, claimed.pictures)

        def without(dropped: int) -> Draft:
            gone = {turn.id for turn in leaving[:dropped]}
            kept = [message for turn in before if turn.id not in gone for message in _said(turn)]
            draft = self._of_conversation(claimed.system, [*kept, question])
            return replace(draft, left_out=len(gone))

        fewest, most = 0, len(before)  # dropped turns; more dropped is never longer
        while fewest < most:
            middle = (fewest + most) // 2
            if self._length(without(middle), described) <= self._limit:
                most = middle
            else:
                fewest = middle + 1
        draft = without(fewest)
        self._require_fit(draft, described)
        return draft

    def _of_conversation(self, system: str, messages: list[Message]) -> Draft:
        """A template that knows no system gets its words at the head of the first question."""
        if not system:
            return self._of_messages(messages)
        try:
            return self._of_messages([Message(Role.SYSTEM, system), *messages])
        except PromptRefused:
            first, *rest = messages
            return self._of_messages([replace(first, content=f"{system}\n\n{first.content}"), *rest])

    def _of_messages(self, messages: Sequence[Message]) -> Draft:
        pictures = tuple(picture for message in messages for picture in message.pictures)
        if pictures and self._eyes is None:
            raise PicturesUnsupported
        token = self._eyes.token if self._eyes else None
        try:
            token_ids = tuple(prompt_ids(messages, self._tokenizer, token))
        except jinja2.TemplateError as error:
            raise PromptRefused from error
        if self._eyes and token_ids.count(self._eyes.facts.placeholder) != len(pictures):
            raise PromptRefused("the chat template left out pictures")
        return Draft(token_ids, pictures)

    def _length(self, draft: Draft, described: Mapping[str, int]) -> int:
        if self._eyes is None:
            return len(draft.token_ids)
        more = sum(self._eyes.facts.tokens - 1 + described.get(picture.sha256, 0) for picture in draft.pictures)
        return len(draft.token_ids) + more

    def _require_fit(self, draft: Draft, described: Mapping[str, int]) -> None:
        if (length := self._length(draft, described)) > self._limit:
            raise PromptTooLong(tokens=length, limit=self._limit)


def _said(turn: Generation) -> tuple[Message, Message]:
    return Message(Role.USER, turn.question, turn.pictures), Message(Role.ASSISTANT, turn.answer)
