"""One's conversations as files: Markdown to read, JSON to keep and to bring back (file_format.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.chat import Conversation, User
from shared.store import Store
from web.chat.service import OpenConversation
from web.organising.file_format import ExportFile, exported
from web.words import Words


def markdown_of(opened: OpenConversation, words: Words) -> str:
    """The visible branch. Answers are Markdown themselves; questions are quoted, so that nothing in them is markup."""
    conversation = opened.conversation
    parts = [
        f"# {conversation.title or words('chat.untitled')}",
        f"{words('page.name')} · {conversation.created_at:%Y-%m-%d %H:%M} UTC",
    ]
    for turn in opened.turns:
        quoted = "\n".join(f"> {line}".rstrip() for line in turn.question.splitlines())
        names = [picture.alt or words("chat.picture", number=at) for at, picture in enumerate(turn.pictures, 1)]
        shown = [f"> [{name}]" for name in names]
        parts += [f"**{words('chat.question')}**", "\n".join([*shown, quoted]), f"**{words('chat.answer')}**"]
        parts.append(turn.answer)
    return "\n\n".join(part for part in parts if part) + "\n"


async def json_of(store: Store, user: User, conversations: Sequence[Conversation]) -> str:
    """All branches of these."""
    file = ExportFile(
        exported_at=datetime.now(UTC),
        conversations=[
            exported(each, await store.generations.of_conversation(each.id, user.id)) for each in conversations
        ],
    )
    return file.model_dump_json(indent=1) + "\n"
