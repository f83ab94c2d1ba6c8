"""Files of conversations, ours and others', as conversations in one shape. Pure: bytes in, values out.

    ours        {"format": "nunmal.conversations", ...}, see file_format.py
    ChatGPT     conversations.json: a list with `mapping`, node ids to {parent, children, message}, and `current_node`
    Open WebUI  its export of chats: a list with `chat.history`, {messages: ids to {parentId, role, content}, currentId}

What one conversation lacks costs that one only. A turn is a question and what was said to it until the next one, so an
answer that was made again is a turn of its own beside the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ValidationError

from shared.organising_errors import ImportUnreadable
from web.organising.file_format import FORMAT, ExportedConversation
from web.organising.message_tree import Message, Tree, turns_of

MOST_CONVERSATIONS = 2_000
MOST_MESSAGES = 4_000  # of one conversation
MOST_CHARACTERS = 200_000  # of one text

Source = Literal["nunmal", "chatgpt", "open_webui"]
Reason = Literal["shape", "empty", "too_long"]


@dataclass(frozen=True, slots=True)
class ForeignTurn:
    key: str  # unique in its conversation, the same in every export of it
    follows: str | None
    question: str
    answer: str
    model: str
    asked_at: datetime | None
    state: str = "done"


@dataclass(frozen=True, slots=True)
class ForeignConversation:
    """`turns`: each after the one that it follows; at least one."""

    source: Source
    key: str
    title: str
    created_at: datetime | None
    turns: list[ForeignTurn]
    leaf: str
    tags: tuple[str, ...] = ()
    pictures: int = 0  # that are not brought along


@dataclass(frozen=True, slots=True)
class Unusable:
    title: str
    reason: Reason


def read_file(data: bytes) -> list[ForeignConversation | Unusable]:
    """In the order of the file; what is more than MOST_CONVERSATIONS is not there. Raises ImportUnreadable."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImportUnreadable from error
    return [_read(row) for row in _rows(value)[:MOST_CONVERSATIONS]]


def _rows(value: Any) -> list[Any]:
    if isinstance(value, dict) and value.get("format") == FORMAT:
        value = [{"nunmal": row} for row in value.get("conversations") or []]
    elif isinstance(value, dict):
        value = [value]  # one conversation by itself
    if not isinstance(value, list) or not any(_source(row) for row in value):
        raise ImportUnreadable
    return value


def _source(row: Any) -> Source | None:
    if not isinstance(row, dict):
        return None
    if "nunmal" in row:
        return "nunmal"
    if isinstance(row.get("mapping"), dict):
        return "chatgpt"
    chat = row.get("chat", row)
    return "open_webui" if isinstance(chat, dict) and isinstance(chat.get("history"), dict) else None


def _read(row: Any) -> ForeignConversation | Unusable:
    title = ""
    try:
        title = _title(row)
        match _source(row):
            case "nunmal":
                found: ForeignConversation | None = _ours(row["nunmal"])
            case "chatgpt":
                found = _chatgpt(row, title)
            case "open_webui":
                found = _open_webui(row, title)
            case None:
                return Unusable(title, "shape")
    except (ValidationError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return Unusable(title, "shape")
    if found is None or not found.turns:
        return Unusable(title, "empty")
    is_long = any(max(len(turn.question), len(turn.answer)) > MOST_CHARACTERS for turn in found.turns)
    return Unusable(title, "too_long") if is_long or len(found.turns) > MOST_MESSAGES else found


def _title(row: Any) -> str:
    if not isinstance(row, dict):
        return ""
    within = row.get("nunmal") or row.get("chat") or row
    title = row.get("title") or (within.get("title") if isinstance(within, dict) else "")
    return title[:200] if isinstance(title, str) else ""


def _ours(row: Any) -> ForeignConversation:
    read = ExportedConversation.model_validate(row)
    turns = [
        ForeignTurn(each.id, each.follows, each.question, each.answer, each.model, each.asked_at, each.state)
        for each in read.turns
    ]
    turns = _in_order(turns)
    known = {turn.key for turn in turns}
    return ForeignConversation(
        source="nunmal",
        key=read.id,
        title=read.title,
        created_at=read.created_at,
        turns=turns,
        leaf=read.leaf if read.leaf in known else (turns[-1].key if turns else ""),
        tags=tuple(read.tags),
        pictures=sum(len(each.pictures) for each in read.turns),
    )


def _in_order(turns: list[ForeignTurn]) -> list[ForeignTurn]:
    """Each after the one that it follows. Raises ValueError: they are no tree."""
    after: dict[str | None, list[ForeignTurn]] = {}
    for turn in turns:
        after.setdefault(turn.follows, []).append(turn)
    ordered = list(after.get(None, ()))
    for turn in ordered:  # it grows while it is read
        ordered += after.pop(turn.key, ())
    if len(ordered) < len(turns):
        raise ValueError(len(turns) - len(ordered))
    return ordered


def _chatgpt(row: dict[str, Any], title: str) -> ForeignConversation | None:
    def messages() -> Iterator[Message]:
        for key, node in row["mapping"].items():
            said = node.get("message") or {}
            content = said.get("content") or {}
            is_text = content.get("content_type") in ("text", "multimodal_text")
            is_hidden = bool((said.get("metadata") or {}).get("is_visually_hidden_from_conversation"))
            is_said = is_text and not is_hidden and said.get("recipient", "all") == "all"
            parts = content.get("parts") or []
            yield Message(
                key=key,
                follows=node.get("parent"),
                role=str((said.get("author") or {}).get("role")) if is_said else "",
                text="\n\n".join(part for part in parts if isinstance(part, str)).strip(),
                model=str((said.get("metadata") or {}).get("model_slug") or "chatgpt"),
                at=_time(said.get("create_time")),
                pictures=sum(isinstance(part, dict) for part in parts),
            )

    key = str(row.get("conversation_id") or row.get("id") or "")
    return _foreign("chatgpt", key, title, _time(row.get("create_time")), list(messages()), row.get("current_node"))


def _open_webui(row: dict[str, Any], title: str) -> ForeignConversation | None:
    chat = row.get("chat", row)
    history = chat["history"]

    def messages() -> Iterator[Message]:
        for key, said in history["messages"].items():
            content = said.get("content")
            if isinstance(content, list):
                content = "\n\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
            yield Message(
                key=key,
                follows=said.get("parentId"),
                role=str(said.get("role")),
                text=str(content or "").strip(),
                model=str(said.get("model") or "open-webui"),
                at=_time(said.get("timestamp")),
                pictures=len(said.get("files") or []),
            )

    key = str(row.get("id") or chat.get("id") or "")
    created_at = _time(row.get("created_at") or chat.get("timestamp"))
    return _foreign("open_webui", key, title, created_at, list(messages()), history.get("currentId"))


def _foreign(
    source: Source, key: str, title: str, created_at: datetime | None, messages: list[Message], current: Any
) -> ForeignConversation | None:
    if len(messages) > MOST_MESSAGES:
        raise ValueError(len(messages))
    tree = Tree(messages)
    turns = [
        ForeignTurn(turn.key, turn.follows, turn.question, turn.answer, turn.model, turn.asked_at)
        for turn in turns_of(tree)
    ]
    if not turns:
        return None
    leaf = tree.nearest(current, {turn.key for turn in turns}) or turns[-1].key
    pictures = sum(message.pictures for message in messages)
    return ForeignConversation(source, key or _content_key(turns), title, created_at, turns, leaf, pictures=pictures)


def _content_key(turns: list[ForeignTurn]) -> str:
    """Where a file gives no id: the same words are the same conversation."""
    return json.dumps([(turn.question, turn.answer) for turn in turns], ensure_ascii=False)


def _time(value: Any) -> datetime | None:
    """Seconds since 1970; Open WebUI's older files have milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
