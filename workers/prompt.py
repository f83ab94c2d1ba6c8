"""From the turns of a conversation to the token ids a model continues, within its context."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from shared.chat import Generation, GenerationState, Message, Role
from shared.errors import PromptRefused, PromptTooLong
from shared.prompting import TokenizerLike, prompt_ids

_ANSWER_SHARE = 8  # at least a 1/8 of the context is left for the answer, if it may be that long


def prompt_of(
    claimed: Generation, turns: Sequence[Generation], tokenizer: TokenizerLike, context_length: int, max_new_tokens: int
) -> tuple[int, ...]:
    """What was given whole, as it is; else the conversation before (`turns`) and the question, as far as they fit.

    Tokenises: call it in a thread. Raises PromptTooLong, and PromptRefused if the chat template takes no such turns.
    """
    given = claimed.prompt
    if given is None:
        return build_prompt(turns, claimed.question, tokenizer, context_length, max_new_tokens)
    limit = _limit(context_length, max_new_tokens)
    try:
        prompt = tokenizer.encode(given) if isinstance(given, str) else prompt_ids(given, tokenizer)
    except jinja2.TemplateError as error:
        raise PromptRefused from error
    if len(prompt) > limit:
        raise PromptTooLong(tokens=len(prompt), limit=limit)
    return tuple(prompt)


def build_prompt(
    turns: Sequence[Generation], question: str, tokenizer: TokenizerLike, context_length: int, max_new_tokens: int
) -> tuple[int, ...]:
    """Earlier turns, oldest first, then the question. When they do not fit, the oldest turns are left out.

    Turns without an answer and failed ones are skipped. The same arguments give the same ids, so a resumed answer
    continues the same prompt. Tokenises: call it in a thread. Raises PromptTooLong if the question alone does not fit.
    """
    pairs = [
        (Message(Role.USER, turn.question), Message(Role.ASSISTANT, turn.answer))
        for turn in turns
        if turn.state in (GenerationState.DONE, GenerationState.STOPPED) and turn.answer.strip()
    ]
    limit = _limit(context_length, max_new_tokens)

    def ids_without(dropped: int) -> list[int]:
        messages = [message for pair in pairs[dropped:] for message in pair]
        return prompt_ids([*messages, Message(Role.USER, question)], tokenizer)

    fewest, most = 0, len(pairs)  # dropped turns; more dropped is never longer
    while fewest < most:
        middle = (fewest + most) // 2
        if len(ids_without(middle)) <= limit:
            most = middle
        else:
            fewest = middle + 1
    prompt = ids_without(fewest)
    if len(prompt) > limit:
        raise PromptTooLong(tokens=len(prompt), limit=limit)
    return tuple(prompt)


def _limit(context_length: int, max_new_tokens: int) -> int:
    """Most tokens of a prompt."""
    return context_length - min(max_new_tokens, context_length // _ANSWER_SHARE)
