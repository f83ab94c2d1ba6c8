"""From the table of sources to clean documents and conversations.

Prose is cleaned and its paragraphs deduplicated inside one source; chat rows that would teach a bad
habit are dropped. One document in a hundred, chosen by a hash of its text, is held out and never trained on.

How to run: `python -m training.data.corpus DATA_DIR` counts what each source gives.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from training.data import clean
from training.data.rows import Conversation, Document, single
from training.data.sources import SOURCES, read_rows, source

HOLDOUT_SHARE = 0.01
MAX_DOCUMENT_CHARS = 4000
_REPEATED_MARK = re.compile(r"([!?~.ㅋㅎㅠㅜ])\1+")


def documents(name: str, data_dir: Path) -> Iterator[Document | Conversation]:
    """Clean rows of one source, whatever its kind, in the order of the file."""
    kind = source(name).kind
    if kind == "chat":
        yield from conversations(name, data_dir)
    elif kind == "reviews":
        for row in read_rows(name, data_dir):
            text = clean.tidy(row["text"])
            if clean.is_usable_review(text):
                yield Document(name, text)
    else:
        seen: set[str] = set()
        for row in read_rows(name, data_dir):
            if kind == "markdown":
                paragraphs = clean.markdown_paragraphs(row["markdown"])
            else:
                paragraphs = [p.lstrip("# ") for p in row["text"].split("\n")]
            for text in _pieces(clean.korean_paragraphs(paragraphs, seen)):
                yield Document(name, text)


def conversations(name: str, data_dir: Path) -> Iterator[Conversation]:
    """Clean conversations of one chat source, each question once."""
    asked: set[str] = set()
    for row in read_rows(name, data_dir):
        ask, say = (clean.tidy(message["content"]) for message in row["messages"][:2])
        if name == "songys_chatbot" and not _is_good_chat(ask, say):
            continue
        if ask in asked or not ask or not say:
            continue
        asked.add(ask)
        yield single(name, ask, say, str(row["meta"].get("label", "")))


def is_held_out(text: str) -> bool:
    """One text in a hundred, by its SHA-256, so that it is the same everywhere and for ever."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") < HOLDOUT_SHARE * 2**64


def _is_good_chat(ask: str, say: str) -> bool:
    """Drop rows that are shouted, very short or not Korean."""
    if _REPEATED_MARK.search(ask + say) or len(say) < 4 or len(ask) < 2:
        return False
    return clean.hangul_share(ask + say) > 0.9


def _pieces(paragraphs: list[str]) -> Iterator[str]:
    """Join paragraphs to documents of at most about MAX_DOCUMENT_CHARS characters."""
    piece: list[str] = []
    size = 0
    for paragraph in paragraphs:
        if piece and size + len(paragraph) > MAX_DOCUMENT_CHARS:
            yield "\n".join(piece)
            piece, size = [], 0
        piece.append(paragraph)
        size += len(paragraph)
    if piece and size > 80:
        yield "\n".join(piece)


if __name__ == "__main__":
    for _name in SOURCES:
        _texts = [d.text for d in documents(_name, Path(sys.argv[1]))]
        print(f"{_name:24} {len(_texts):6} rows {sum(map(len, _texts)) / 1e6:7.2f} M characters")
