"""Trying a version: one question, answered side by side by the model alone, with the adapter, and with both an adapter
and an instruction. All three draw with the same seed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.chat import Generation, Message, Origin, Role, SamplingParams, User
from shared.errors import MessageEmpty, NotFound
from shared.ids import is_id, new_id
from shared.store import Store
from web.api.drafts import draft_of
from web.api.service import ApiService
from web.forms import tidy

MOST_CHARACTERS = 4000
_MOST_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Trial:
    """`turns`: in the order of the columns."""

    version: str
    question: str
    instruction: str
    turns: list[Generation]


class Trials:
    """`lane`: where questions are queued."""

    def __init__(self, store: Store, service: ApiService, lane: str) -> None:
        self._store = store
        self._service = service
        self._lane = lane

    async def begin(self, user: User, version: str, question: str, instruction: str) -> str:
        """The id of the trial. Raises MessageEmpty, MessageInvalid, AdapterVersionUnknown, LimitReached, QueueFull."""
        question = tidy_prompt(question)
        instruction = tidy(instruction, MOST_CHARACTERS).strip()[:MOST_CHARACTERS]
        await self._store.adapters.version(version)
        plain = (Message(Role.USER, question),)
        instructed = (Message(Role.SYSTEM, instruction), *plain) if instruction else plain
        columns = [(None, plain), (version, plain)] + ([(version, instructed)] if instruction else [])
        drafts = side_by_side(user.id, self._lane, Origin.CHAT, columns)
        await self._service.submit(drafts)
        return drafts[0].conversation_id

    async def get(self, user: User, trial_id: str) -> Trial:
        """Raises NotFound, for a foreign one too."""
        found = await self._store.generations.of_conversation(trial_id, user.id) if is_id(trial_id) else []
        # With their prompts. Those of a comparison are no trial: this page names versions.
        whole = [await self._store.generations.get(turn.id) for turn in found if turn.origin is Origin.CHAT]
        turns = sorted((turn for turn in whole if turn is not None), key=_column)
        adapted = next((turn for turn in turns if turn.adapter), None)
        if adapted is None or adapted.adapter is None or isinstance(adapted.prompt, str):
            raise NotFound
        messages = [message for turn in turns for message in turn.prompt or () if isinstance(message, Message)]
        instruction = next((message.content for message in messages if message.role is Role.SYSTEM), "")
        question = next(message.content for message in messages if message.role is Role.USER)
        return Trial(adapted.adapter, question, instruction, turns)


def tidy_prompt(text: str) -> str:
    """A question as it is asked. Raises MessageEmpty, MessageInvalid."""
    text = tidy(text, MOST_CHARACTERS).strip()[:MOST_CHARACTERS]
    if not text:
        raise MessageEmpty
    return text


def side_by_side(
    user_id: str, lane: str, origin: Origin, columns: Sequence[tuple[str | None, tuple[Message, ...]]]
) -> list[Generation]:
    """A draft for each column (the version, None for the model alone, and the prompt), under the id of the first and
    with one seed."""
    sampling, seed = SamplingParams(max_new_tokens=_MOST_TOKENS), secrets.randbits(63)
    first = new_id()
    ids = [first, *(new_id() for _ in columns[1:])]
    return [
        replace(
            draft_of(prompt, sampling, user_id, lane, origin),
            id=each,
            conversation_id=first,
            seed=seed,
            adapter=adapter,
        )
        for each, (adapter, prompt) in zip(ids, columns, strict=True)
    ]


def _column(turn: Generation) -> int:
    """The model alone, the adapter, and that with an instruction."""
    return 0 if turn.adapter is None else len(turn.prompt or ())
