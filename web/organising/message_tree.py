"""Messages that name the one before them, as turns of a question and its answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """`role`: "user" and "assistant" say something; all others lead on to what follows them."""

    key: str
    follows: str | None
    role: str
    text: str
    model: str
    at: datetime | None
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class MessageTurn:
    """`key`: of its last message."""

    key: str
    follows: str | None
    question: str
    answer: str
    model: str
    asked_at: datetime | None


class Tree:
    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = {message.key: message for message in messages}
        self._after: dict[str | None, list[Message]] = {}
        for message in messages:
            before = message.follows if message.follows in self._messages else None
            self._after.setdefault(before, []).append(message)

    def after(self, key: str | None) -> list[Message]:
        """What follows this one; the beginnings for None. Messages in a ring follow none, and are not reached."""
        return self._after.get(key, [])

    def nearest(self, key: Any, wanted: set[str]) -> str | None:
        """The first of `wanted` on the way from a message to its beginning."""
        seen: set[str] = set()
        while isinstance(key, str) and key in self._messages and key not in seen:
            if key in wanted:
                return key
            seen.add(key)
            key = self._messages[key].follows
        return None


def turns_of(tree: Tree) -> Iterable[MessageTurn]:
    """Each after the one that it follows. An answer without a question before it is left out."""
    made: dict[str, MessageTurn] = {}
    waiting: list[tuple[Message, MessageTurn | None]] = [(message, None) for message in reversed(tree.after(None))]
    while waiting:
        message, turn = waiting.pop()
        if message.role == "user" and message.text:
            follows = made.setdefault(turn.key, turn).key if turn is not None else None
            turn = MessageTurn(message.key, follows, message.text, "", "", message.at)
        elif message.role == "assistant" and message.text and turn is not None:
            answer = f"{turn.answer}\n\n{message.text}" if turn.answer else message.text
            turn = replace(turn, key=message.key, answer=answer, model=message.model)
        after = tree.after(message.key)
        if not after and turn is not None:
            made.setdefault(turn.key, turn)
        waiting += [(each, turn) for each in reversed(after)]
    return made.values()
