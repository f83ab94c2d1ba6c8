"""The shapes in which others publish Korean fine-tuning data, each read into one kind of conversation.

    KoAlpaca, KULLM   {instruction, input?, output}             KULLM's id ("dolly_12") names where a row is from
    ShareGPT, LLaVA   {conversations: [{from, value}], image?}  `<image>` in a question is the place of a picture
    messages          {messages: [{role, content}], source?, task?}
    votes             {turns, answer, vote, reason, consent}    our own: see VoteRow; {rejected} of two compared

A row is known by its fields, so one file may mix shapes. Every fault is a BadRow with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import MessageInvalid
from shared.prompting import clean_text
from training.data.files import bare_name, raw_rows
from training.data.quarantine import BadRow, Quarantine, Reason
from training.data.rows import Conversation, Turn, Vote

PICTURE_MARK = "<image>"
_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
}


class _Row(BaseModel):
    """Fields we do not know are passed over; those we know have the right type."""

    model_config = ConfigDict(frozen=True, strict=True)


class AlpacaRow(_Row):
    """KoAlpaca and KULLM: `input` is what the instruction speaks of."""

    id: str | int | None = None
    instruction: str
    input: str | None = None
    output: str


class SpokenTurn(_Row):
    """One turn of ShareGPT and LLaVA."""

    speaker: str = Field(alias="from")
    value: str


class SpokenRow(_Row):
    """ShareGPT; with pictures, LLaVA."""

    id: str | int | None = None
    conversations: list[SpokenTurn]
    image: str | list[str] | None = None


class MessageTurn(_Row):
    """One turn in the words of chat completions."""

    role: str
    content: str


class MessagesRow(_Row):
    """The shape of the data folder and of chat completions."""

    id: str | int | None = None
    source: str = ""
    task: str = ""
    messages: list[MessageTurn]


class VoteRow(_Row):
    """One vote as the service exports it: what was asked, the answer that was judged, and what the person thought.

    `turns` ends with the question. `better` is of two answers that were compared: one is liked more, not liked as such.
    Without `consent` the row is never used and its content never kept."""

    id: str = Field(default="", description="generation_id of the answer")
    turns: list[MessageTurn] = Field(description="the conversation before the answer, a system turn first if any")
    answer: str
    rejected: str = Field(default="", description="the answer that was thought worse, if vote is `better`")
    vote: Literal["up", "down", "better"]
    reason: str = Field(default="", description="the chosen reason or the person's own words")
    consent: bool = Field(description="whether the person agreed that it is trained on")


def read_conversations(path: Path, quarantine: Quarantine) -> Iterator[tuple[int, Conversation]]:
    """Yield the good rows of a file with their numbers (from 1); the others go to the quarantine.

    Raises: OSError: there is no such file, or it may not be read."""
    source = source_of(path)
    for row in raw_rows(path):
        try:
            if row.fault is not None:
                raise row.fault
            conversation = conversation_of(row.content, source)
        except BadRow as bad:
            quarantine.add(path, row.number, bad, row.text)
        else:
            yield row.number, conversation


def source_of(path: Path) -> str:
    """The name of a file's data: its folder's where every folder has a `train` or `test` of its own."""
    name = bare_name(path)
    return path.resolve().parent.name if name in {"train", "test", "valid", "dev", "data"} else name


def conversation_of(content: Any, source: str) -> Conversation:
    """One row as a conversation. Raises: BadRow."""
    if not isinstance(content, dict):
        raise BadRow(Reason.UNKNOWN_SHAPE, f"an object was expected, not {type(content).__name__}")
    try:
        if "vote" in content:
            found = _vote(content, source)
        elif "messages" in content:
            found = _messages(content, source)
        elif "conversations" in content:
            found = _spoken(content, source)
        elif "instruction" in content:
            found = _alpaca(content, source)
        else:
            raise BadRow(Reason.UNKNOWN_SHAPE, f"fields: {sorted(map(str, content))[:20]}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadRow(Reason.BAD_FIELD, f"{place}: {first['msg']}") from None
    _check_order([role for role, _ in found.turns])
    return found


def _alpaca(content: dict[str, Any], source: str) -> Conversation:
    row = AlpacaRow.model_validate(content)
    parts = [_clean(part) for part in (row.instruction, row.input or "")]
    ask = "\n\n".join(part for part in parts if part)
    origin = row.id.rpartition("_")[0] if isinstance(row.id, str) else ""
    turns = (_turn("user", ask), _turn("assistant", row.output))
    return Conversation(source, turns, label=origin, id=_name(row.id))


def _spoken(content: dict[str, Any], source: str) -> Conversation:
    row = SpokenRow.model_validate(content)
    pictures = [row.image] if isinstance(row.image, str) else row.image or []
    spoken = [(turn.speaker, turn.value) for turn in row.conversations]
    if pictures:
        asks = [i for i, (speaker, _) in enumerate(spoken) if _ROLES.get(speaker.lower()) == "user"][:1]
        marks = sum(spoken[i][1].count(PICTURE_MARK) for i in asks)
        if marks != len(pictures):
            detail = f"{marks} marks {PICTURE_MARK} in the first question for {len(pictures)} pictures"
            raise BadRow(Reason.PICTURES_DIFFER, detail)
        for i in asks:
            spoken[i] = (spoken[i][0], spoken[i][1].replace(PICTURE_MARK, ""))
    turns = [_turn(speaker, said) for speaker, said in spoken]
    return Conversation(source, tuple(turns), id=_name(row.id), pictures=tuple(map(_clean, pictures)))


def _messages(content: dict[str, Any], source: str) -> Conversation:
    row = MessagesRow.model_validate(content)
    turns = tuple(_turn(message.role, message.content) for message in row.messages)
    return Conversation(row.source or source, turns, label=row.task, id=_name(row.id))


def _vote(content: dict[str, Any], source: str) -> Conversation:
    if content.get("consent") is not True:  # before anything else: no word of it may get into a message
        raise BadRow(Reason.NO_CONSENT, "the person did not agree")
    row = VoteRow.model_validate(content)
    turns = [_turn(turn.role, turn.content) for turn in row.turns]
    turns.append(_turn("assistant", row.answer))
    rejected = _clean(row.rejected)
    if (row.vote == "better") != bool(rejected):
        raise BadRow(Reason.BAD_FIELD, "rejected: an answer is better than another one")
    return Conversation(source, tuple(turns), id=row.id, vote=Vote(row.vote, _clean(row.reason), rejected))


def _turn(speaker: str, said: str) -> Turn:
    role = _ROLES.get(speaker.lower())
    if role is None:
        raise BadRow(Reason.UNKNOWN_ROLE, repr(speaker))
    text = _clean(said)
    if not text:
        raise BadRow(Reason.EMPTY_TURN, f"a turn of {role} has no text")
    return role, text


def _name(id: str | int | None) -> str:
    return "" if id is None else _clean(str(id))


def _clean(text: str) -> str:
    try:
        return clean_text(text).strip()
    except MessageInvalid:
        raise BadRow(Reason.BROKEN_TEXT, "broken UTF-8, NUL or a lone surrogate") from None


def _check_order(roles: list[str]) -> None:
    """A system turn or none, then question and answer in turn, an answer last."""
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise BadRow(Reason.WRONG_ORDER, " ".join(roles) if roles else "no turns")
