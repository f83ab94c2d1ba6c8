"""Rows of files as the trainers want them: token ids with labels, or pairs to prefer one of.

A row is one JSON object of a line. `messages` (role, content) or `text` teach one answer after another or plain text;
`prompt` (text or messages) with `chosen` and `rejected` teaches a preference. Prompts are rendered as serving renders
them (shared/prompting.py): text of people cannot become a control token, and a base without a chat template gets
labelled turns. What cannot be used is counted with its reason and left out, and so are rows that are known to give a
test away. Not here: cleaning, licences, duplicates (training/data).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.chat import Message, Role
from shared.errors import ConfigError, MessageInvalid
from shared.prompting import clean_text, defuse, fallback_prompt
from training.data.known_leaks import known_leaks
from training.tune.recipe import Data, Objective, Stage

IGNORED = -100  # the label of a token that is not learned
_SHARES = 10_000


@dataclass(frozen=True)
class Split:
    """The rows of a stage."""

    learned: list[dict[str, Any]]
    evaluated: list[dict[str, Any]]


@dataclass
class Refused:
    """Why rows were left out, and how many."""

    reasons: Counter[str] = field(default_factory=Counter)


def located(file: Path, data_dir: Path) -> Path:
    """A recipe's path on this machine: in the data folder, or where a command of ours wrote it, like var/training."""
    inside = data_dir / file  # an absolute path stays itself
    return file if not inside.is_file() and file.is_file() else inside


def read(data: Data, data_dir: Path, seed: int) -> list[dict[str, Any]]:
    """All rows in the files' order, or `most_rows` of them. Raises ConfigError: a file is missing."""
    rows = [row for file in data.files for row in _lines(located(file, data_dir))]
    if data.most_rows is not None and data.most_rows < len(rows):
        kept = sorted(random.Random(seed).sample(range(len(rows)), data.most_rows))
        rows = [rows[number] for number in kept]
    return rows


def split(stage: Stage, data_dir: Path, seed: int) -> Split:
    """What a stage learns from and what it is evaluated on. A row is held out by its own hash, so that the same row
    is never on both sides, whatever stands beside it."""
    rows = read(stage.data, data_dir, seed)
    if stage.eval_data is not None:
        return Split(rows, read(stage.eval_data, data_dir, seed))
    border = stage.eval_share * _SHARES
    is_held_out = [_hash(row) % _SHARES < border for row in rows]
    learned = [row for row, out in zip(rows, is_held_out, strict=True) if not out]
    return Split(learned, [row for row, out in zip(rows, is_held_out, strict=True) if out])


def prepare(
    rows: Sequence[dict[str, Any]], objective: Objective, tokenizer: Any, max_tokens: int, refused: Refused
) -> list[dict[str, Any]]:
    """Rows for the trainer of an objective: `input_ids` and `labels` (dpo: `prompt`, `chosen`, `rejected`)."""
    leaking = sum(row.get("id") in known_leaks() for row in rows)
    if leaking:
        refused.reasons["gives a test away"] += leaking
        rows = [row for row in rows if row.get("id") not in known_leaks()]
    if objective in ("causal_lm", "masked_lm"):
        pieces = packed(rows, tokenizer, max_tokens, refused)
        return pieces if objective == "causal_lm" else [{"input_ids": piece["input_ids"]} for piece in pieces]
    made = []
    for row in rows:
        try:
            made.append(preference(row, tokenizer) if objective == "dpo" else conversation(row, tokenizer))
        except (_RowError, MessageInvalid) as error:
            refused.reasons[str(error)] += 1
    if objective == "dpo":
        return made
    fitting = [row for row in made if len(row["input_ids"]) <= max_tokens]
    if len(fitting) < len(made):
        refused.reasons["longer than max_tokens"] += len(made) - len(fitting)
    return fitting


def prepare_to_measure(rows: Sequence[dict[str, Any]], tokenizer: Any, max_tokens: int) -> list[dict[str, Any]]:
    """Rows whose loss is measured: conversations by their answers, anything else as text."""
    objective: Objective = "sft" if rows and "messages" in rows[0] else "causal_lm"
    return prepare(rows, objective, tokenizer, max_tokens, Refused())


def turns_of(row: dict[str, Any]) -> list[Message]:
    """The checked turns of a `messages` row that ends with an answer; none if it is no such row."""
    try:
        return _messages(row)
    except (_RowError, MessageInvalid):
        return []


def packed(rows: Sequence[dict[str, Any]], tokenizer: Any, max_tokens: int, refused: Refused) -> list[dict[str, Any]]:
    """Texts one after another, each between the base's own marks of beginning and end, cut into pieces of `max_tokens`;
    every token is learned."""
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    begin = [] if tokenizer.bos_token_id in (None, end) else [tokenizer.bos_token_id]
    ids: list[int] = []
    for row in rows:
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            refused.reasons["no text"] += 1
            continue
        try:
            ids += [*begin, *tokenizer.encode(_safe(text, tokenizer), add_special_tokens=False), end]
        except MessageInvalid as error:
            refused.reasons[str(error)] += 1
    pieces = [ids[place : place + max_tokens] for place in range(0, len(ids), max_tokens)]
    return [{"input_ids": piece, "labels": list(piece)} for piece in pieces if len(piece) > 1]


def conversation(row: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """Ids of a whole conversation; only what the assistant says is learned, and the mark that ends it."""
    messages = _messages(row)
    text, answers = _rendered(messages, tokenizer)
    encoded = tokenizer(text, add_special_tokens=not tokenizer.chat_template, return_offsets_mapping=True)
    ids = list(encoded["input_ids"])
    starts = [begin for begin, _ in encoded["offset_mapping"]]
    inside = [any(begin <= place < end for begin, end in answers) for place in starts]
    if not any(inside):
        raise _RowError("no answer to learn")
    labels = [token if learned else IGNORED for token, learned in zip(ids, inside, strict=True)]
    return {"input_ids": ids, "labels": labels}


def preference(row: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """A prompt with the better and the worse answer, in TRL's words: messages if the base has a chat template, else
    text (TRL ends both with the end token)."""
    prompt = row.get("prompt")
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    answers = [_answer(row.get(key)) for key in ("chosen", "rejected")]
    if answers[0] == answers[1]:
        raise _RowError("chosen and rejected are the same")
    turns = _messages({"messages": [*(asked if isinstance(asked, list) else []), answers[0]]})[:-1]
    chosen, rejected = (_safe(answer["content"], tokenizer) for answer in answers)
    if tokenizer.chat_template:
        said = {"chosen": chosen, "rejected": rejected}
        both = {key: [{"role": "assistant", "content": content}] for key, content in said.items()}
        return {"prompt": _turns(turns, tokenizer), **both}
    asked_text = fallback_prompt(turns, tokenizer.all_special_tokens)
    return {"prompt": asked_text, "chosen": f" {chosen}", "rejected": f" {rejected}"}


class _RowError(ValueError):
    """This row cannot be used; the reason is a phrase that rows share."""


def _rendered(messages: list[Message], tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """The text of a conversation, and where in it the answers stand (begin, end)."""
    if not tokenizer.chat_template:
        return _labelled(messages, tokenizer)
    turns = _turns(messages, tokenizer)

    def render(count: int, **options: Any) -> str:
        return str(tokenizer.apply_chat_template(turns[:count], tokenize=False, **options))

    full, spans = render(len(turns)), []
    for number, message in enumerate(messages):
        if message.role != Role.ASSISTANT:
            continue
        before, through = render(number, add_generation_prompt=True), render(number + 1).rstrip()
        # A template may write earlier answers otherwise (without thoughts, say); then only the last one is learned.
        if full.startswith(through) and through.startswith(before):
            spans.append((len(before), len(through)))
    return full, spans


def _labelled(messages: list[Message], tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """Labelled turns: each answer ends with its line, the last one with the end token."""
    text, spans = "", []
    for number, message in enumerate(messages):
        if message.role != Role.ASSISTANT:
            continue
        before = fallback_prompt(messages[:number], tokenizer.all_special_tokens)
        end = tokenizer.eos_token if number == len(messages) - 1 else "\n"
        text = f"{before} {_safe(message.content, tokenizer)}{end}"
        spans.append((len(before), len(text)))
    return text, spans


def _messages(row: dict[str, Any]) -> list[Message]:
    """Checked turns. Raises _RowError."""
    found = row.get("messages")
    if not isinstance(found, list) or not found:
        raise _RowError("no messages")
    messages = []
    for turn in found:
        if not isinstance(turn, dict) or turn.get("role") not in ("system", "user", "assistant"):
            raise _RowError("a turn has no known role")
        content = turn.get("content")
        if not isinstance(content, str) or not content.strip():
            raise _RowError("a turn is empty")
        messages.append(Message(Role(turn["role"]), clean_text(content)))
    if messages[-1].role != Role.ASSISTANT:
        raise _RowError("the last turn is not an answer")
    if messages[0].role == Role.ASSISTANT:
        raise _RowError("the first turn is an answer")
    return messages


def _answer(value: Any) -> dict[str, str]:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0].get("content")
    if not isinstance(value, str) or not value.strip():
        raise _RowError("no chosen or no rejected answer")
    return {"role": "assistant", "content": value}


def _turns(messages: list[Message], tokenizer: Any) -> list[dict[str, str]]:
    return [{"role": str(message.role), "content": _safe(message.content, tokenizer)} for message in messages]


def _safe(text: str, tokenizer: Any) -> str:
    return defuse(clean_text(text), tokenizer.all_special_tokens)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file; a line that is none becomes an empty row, which is refused like all that teach nothing."""
    if not file.is_file():
        raise ConfigError(f"data: no file {file}; --data-dir says where relative paths begin")
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    for line in content.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = {}
        yield row if isinstance(row, dict) else {}


def _hash(row: dict[str, Any]) -> int:
    content = {key: row.get(key) for key in ("text", "messages", "prompt", "chosen", "rejected") if key in row}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(canonical).digest()[:8], "big")
