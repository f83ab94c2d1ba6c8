"""Conversation to prompt: the same code for training and for serving. Takes a tokenizer-like argument.

Text of people is data: strings that look like control tokens (`<|end|>`, `</s>`) are broken up before the
template sees them, so nobody can end their own turn or speak as the system.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from shared.chat import ConversationSettings, Generation, GenerationState, Message, Role, Style
from shared.errors import MessageInvalid

_JOINER = "\u200b"  # zero width space: shown as nothing, and no control token contains it
_STYLES = {Style.POLITE: "존댓말(해요체)로 답하세요.", Style.CASUAL: "친구에게 말하듯 반말로 답하세요."}
_ROLE_NAMES = {Role.SYSTEM: "시스템", Role.USER: "사용자", Role.ASSISTANT: "답변"}


class TokenizerLike(Protocol):
    """What we need of a Hugging Face tokenizer."""

    chat_template: Any
    all_special_tokens: list[str]

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...

    def encode(self, text: str, **options: Any) -> list[int]: ...


def clean_text(text: str) -> str:
    """NFC, and only what a transcript can hold.

    Raises MessageInvalid for NUL and lone surrogates (they cannot be stored or sent).
    """
    if "\x00" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise MessageInvalid
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def defuse(text: str, control_tokens: Iterable[str]) -> str:
    """Break every control token in `text` by one invisible character, until none is left."""
    for token in sorted(control_tokens, key=len, reverse=True):
        if len(token) > 1:
            text = text.replace(token, token[0] + _JOINER + token[1:])
    return text


def system_text(settings: ConversationSettings) -> str:
    """What the system says first; empty: nothing. The style comes last, because the last word weighs most."""
    return "\n\n".join(filter(None, (settings.instructions, _STYLES.get(settings.style))))


def told(turns: Iterable[Generation]) -> list[Generation]:
    """Those that a prompt can hold: turns without an answer and failed ones are skipped."""
    ended = (GenerationState.DONE, GenerationState.STOPPED)
    return [turn for turn in turns if turn.state in ended and turn.answer.strip()]


def leaving_order(turns: Iterable[Generation], pins: Collection[str]) -> list[Generation]:
    """Who is left out first when the context is full: the oldest, and pinned turns after all others."""
    return sorted(turns, key=lambda turn: turn.id in pins)  # stable


def prompt_ids(messages: Sequence[Message], tokenizer: TokenizerLike, picture_token: str | None = None) -> list[int]:
    """Token ids of the prompt for the next answer, special tokens included. A picture is a `picture_token` before the
    text of its turn.

    Uses the model's own chat template; without one (a base model), labelled turns: `사용자: ...` / `답변:`.
    """
    if tokenizer.chat_template:
        return _rendered(messages, tokenizer, picture_token, add_generation_prompt=True)
    return list(tokenizer.encode(fallback_prompt(messages, _control_tokens(tokenizer, picture_token), picture_token)))


def told_ids(messages: Sequence[Message], tokenizer: TokenizerLike, picture_token: str | None = None) -> list[int]:
    """Token ids of turns whose last one is an answer, as the model's chat template closes it; without a template,
    nothing ends it."""
    if tokenizer.chat_template:
        return _rendered(messages, tokenizer, picture_token, add_generation_prompt=False)
    control_tokens = _control_tokens(tokenizer, picture_token)
    prompt = fallback_prompt(messages[:-1], control_tokens, picture_token)
    return list(tokenizer.encode(f"{prompt} {_content(messages[-1], control_tokens, picture_token)}"))


def fallback_prompt(
    messages: Sequence[Message], control_tokens: Sequence[str], picture_token: str | None = None
) -> str:
    """Labelled turns for models without a chat template; an answer ends where `FALLBACK_STOP` begins."""
    lines = [
        f"{_ROLE_NAMES[message.role]}: {_content(message, control_tokens, picture_token)}\n" for message in messages
    ]
    return "".join(lines) + f"{_ROLE_NAMES[Role.ASSISTANT]}:"


def _rendered(
    messages: Sequence[Message], tokenizer: TokenizerLike, picture_token: str | None, *, add_generation_prompt: bool
) -> list[int]:
    control_tokens = _control_tokens(tokenizer, picture_token)
    turns = [
        {"role": str(message.role), "content": _content(message, control_tokens, picture_token)} for message in messages
    ]
    encoded = tokenizer.apply_chat_template(
        turns, add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


def _control_tokens(tokenizer: TokenizerLike, picture_token: str | None) -> list[str]:
    return [*tokenizer.all_special_tokens, *([picture_token] if picture_token else [])]


def _content(message: Message, control_tokens: Sequence[str], picture_token: str | None) -> str:
    assert picture_token or not message.pictures  # whoever has no eyes was not asked to look
    return (picture_token or "") * len(message.pictures) + defuse(message.content, control_tokens)


FALLBACK_STOP = f"\n{_ROLE_NAMES[Role.USER]}:"
