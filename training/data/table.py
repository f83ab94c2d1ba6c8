"""One line for each conversation: where it stands, how long it is, in which letters, what else holds the same words.

Everything the report counts, it counts from this table. Columns: file, row, source, turns, characters,
answer_characters, tokens, hangul, latin, other (letters), language, pictures, vote, is_same, is_near, asks_again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from training.data.doubles import find_doubles
from training.data.rows import Conversation

MIN_SHARE = 0.5  # of its letters that make a row of one language
_HANGUL = re.compile("[가-힣ᄀ-ᇿㄱ-ㆎ]")
_LATIN = re.compile("[A-Za-zÀ-ÖØ-öø-ɏ]")


@dataclass(frozen=True)
class Letters:
    """How many letters of which script a text has."""

    hangul: int
    latin: int
    other: int

    @property
    def language(self) -> str:
        """hangul, latin or other: what most letters are; none: a text without letters; mixed: nothing leads."""
        counts = {"hangul": self.hangul, "latin": self.latin, "other": self.other}
        total = sum(counts.values())
        if not total:
            return "none"
        name, most = max(counts.items(), key=lambda item: item[1])
        return name if most > MIN_SHARE * total else "mixed"


@dataclass(frozen=True)
class Located:
    """A conversation and where it stands."""

    file: Path
    row: int  # from 1
    conversation: Conversation

    @property
    def place(self) -> str:
        """For people: its folder's and its file's name, and the row."""
        return f"{Path(*self.file.parts[-2:])}:{self.row}"


def count_letters(text: str) -> Letters:
    """Letters by script; digits and signs are none."""
    total = sum(map(str.isalpha, text))
    hangul, latin = len(_HANGUL.findall(text)), len(_LATIN.findall(text))
    return Letters(hangul, latin, max(0, total - hangul - latin))


def row_table(rows: Sequence[Located], tokenizer: PreTrainedTokenizerBase) -> pd.DataFrame:
    """The table of all rows, in their order. Tokens are those of the turns, without the marks of a chat template."""
    texts = [row.conversation.text for row in rows]
    table = pd.DataFrame([_facts(row) for row in rows], columns=_COLUMNS)
    table["tokens"] = _token_counts(texts, tokenizer)
    doubles = find_doubles([row.conversation for row in rows])
    table["is_same"], table["is_near"], table["asks_again"] = doubles.same, doubles.near, doubles.asks_again
    return table


_COLUMNS = [
    "file",
    "row",
    "source",
    "turns",
    "characters",
    "answer_characters",
    "hangul",
    "latin",
    "other",
    "language",
    "pictures",
    "vote",
]


def _facts(row: Located) -> dict[str, Any]:
    conversation = row.conversation
    found = count_letters(conversation.text)
    return {
        "file": str(row.file),
        "row": row.row,
        "source": conversation.source,
        "turns": len(conversation.turns),
        "characters": sum(len(text) for _, text in conversation.turns),
        "answer_characters": sum(len(text) for role, text in conversation.turns if role == "assistant"),
        "hangul": found.hangul,
        "latin": found.latin,
        "other": found.other,
        "language": found.language,
        "pictures": len(conversation.pictures),
        "vote": conversation.vote.value if conversation.vote else "",
    }


def _token_counts(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    counts: list[int] = []
    for start in range(0, len(texts), 1000):
        batch = tokenizer(texts[start : start + 1000], add_special_tokens=False, verbose=False)
        counts += map(len, batch["input_ids"])
    return counts
