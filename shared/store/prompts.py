"""How a whole prompt lies in a document: raw text as it is, messages as [role, content]."""

from __future__ import annotations

from shared.chat import Message, Role


def prompt_in_store(prompt: tuple[Message, ...] | str | None) -> list[list[str]] | str | None:
    if prompt is None or isinstance(prompt, str):
        return prompt
    return [[str(message.role), message.content] for message in prompt]


def prompt_from_store(stored: list[list[str]] | str | None) -> tuple[Message, ...] | str | None:
    if stored is None or isinstance(stored, str):
        return stored
    return tuple(Message(Role(role), content) for role, content in stored)
