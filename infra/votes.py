"""`nunmal votes export --out FILE`: what people said of answers, as rows that training/data reads.

Only of those who let a model learn from them now, and only what they said since they agreed. A row has no name, no
address and no id of a person; its id is that of the answer, so that rows can be taken out of an older file. A row is
left out and counted if its words hold what points to a person (shared/text/pii.py, or the owner's own name or e-mail),
if a picture belongs to it (rows have no place for one), or if another service's answers are in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.audit import command_actor
from infra.home import opened_store
from shared.audit import AuditAction
from shared.chat import Generation, User
from shared.comparisons import Choice, Comparison
from shared.errors import ConfigError
from shared.prompting import leaving_order, told
from shared.settings import Settings
from shared.store import Store
from shared.text.pii import find_pii
from shared.topology import CHAT_JOBS
from shared.votes import Vote

Row = dict[str, Any]
_LEAST_NAME_CHARACTERS = 2  # a name of one letter is in every text


@dataclass(slots=True)
class Told:
    """What was written and what was not, in numbers."""

    rows: Counter[str] = field(default_factory=Counter)  # by vote: up, down, better
    left_out: Counter[str] = field(default_factory=Counter)  # rows, by reason
    found: Counter[str] = field(default_factory=Counter)  # personal things in them, by kind
    people: int = 0

    @property
    def lines(self) -> str:
        return (
            f"{self.rows.total()} rows of {self.people} people: {_counts(self.rows)}\n"
            f"left out: {_counts(self.left_out)}\npersonal things found: {_counts(self.found)}\n"
        )


def export(settings: Settings, out: Path) -> None:
    """Into a new file that only its owner may read; prints what was written and left out.

    Raises ConfigError if the file cannot be made or is there already, StoreUnavailable."""
    asyncio.run(_export(settings, out))


async def _export(settings: Settings, out: Path) -> None:
    async with opened_store(settings) as store:
        # Recorded first: words of people that nobody can account for are worse than a record of none.
        await store.audit.append(command_actor(), AuditAction.VOTES_EXPORTED, "votes")
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ConfigError(f"{out} cannot be made: {error.strerror}") from error
        counted = Told()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            async for row in rows(store, counted):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.write(counted.lines)


async def rows(store: Store, counted: Told) -> AsyncIterator[Row]:
    """In the shape of training/data/formats.py: VoteRow. Raises StoreUnavailable."""
    for user in await store.users.agreeing():
        before = counted.rows.total()
        async for row in _of_person(store, user, counted):
            if kinds := _personal(row, user):
                counted.left_out["personal"] += 1
                counted.found.update(kinds)
                continue
            counted.rows[row["vote"]] += 1
            yield row
        counted.people += counted.rows.total() > before


async def _of_person(store: Store, user: User, counted: Told) -> AsyncIterator[Row]:
    for vote in await store.votes.of_user(user.id):
        if vote.may_teach(user.agreed_at):
            branch = await store.generations.branch(vote.turn_id, user.id)
            if (why := _unusable(branch)) is None:
                yield _voted(vote, branch)
            else:
                counted.left_out[why] += 1
    for comparison in await store.comparisons.of_user(user.id):
        if comparison.may_teach(user.agreed_at):
            for row in _compared(comparison, await store.generations.of_conversation(comparison.id, user.id)):
                yield row


def _unusable(branch: Sequence[Generation]) -> str | None:
    if not branch:
        return "gone"
    if any(turn.pictures for turn in branch):
        return "pictures"
    return None if all(turn.lane.startswith(f"{CHAT_JOBS}.") for turn in branch) else "imported"


def _voted(vote: Vote, branch: Sequence[Generation]) -> Row:
    """With what the model read before it answered."""
    *earlier, turn = branch
    kept = told(earlier)
    gone = {each.id for each in leaving_order(kept, turn.pins)[: turn.left_out]}
    turns = [_turn("system", turn.system)] if turn.system else []
    for each in kept:
        if each.id not in gone:
            turns += [_turn("user", each.question), _turn("assistant", each.answer)]
    reason = ": ".join(filter(None, (", ".join(vote.reasons), vote.words)))
    return _row(turn.id, [*turns, _turn("user", turn.question)], turn.answer, str(vote.value), reason)


def _compared(comparison: Comparison, turns: Sequence[Generation]) -> list[Row]:
    """The better answer beside the other one; two that were both bad, each alone; nothing of two that were alike."""
    if len(turns) != 2 or comparison.choice is Choice.SAME:
        return []
    asked = [_turn("user", comparison.question)]
    if comparison.choice is Choice.BAD:
        return [_row(turn.id, asked, turn.answer, "down", "comparison") for turn in turns]
    better, other = turns if comparison.choice is Choice.LEFT else reversed(turns)
    return [_row(better.id, asked, better.answer, "better", "comparison") | {"rejected": other.answer}]


def _row(id: str, turns: list[Row], answer: str, vote: str, reason: str) -> Row:
    return {"id": id, "turns": turns, "answer": answer, "vote": vote, "reason": reason, "consent": True}


def _turn(role: str, content: str) -> Row:
    return {"role": role, "content": content}


def _personal(row: Row, owner: User) -> list[str]:
    """Kinds of what points to a person."""
    texts = [turn["content"] for turn in row["turns"]] + [row["answer"], row["reason"], row.get("rejected", "")]
    kinds = [str(find.kind) for text in texts for find in find_pii(text)]
    names = [name for name in (owner.name, owner.email) if len(name) >= _LEAST_NAME_CHARACTERS]
    return kinds + ["own_name" for text in texts if any(name in text for name in names)]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
