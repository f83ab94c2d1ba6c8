"""Markdown as readers see it, with its headings; code keeps its fence, so that none of its lines is taken for one."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from workers.ingest.parsing.parts import fenced, heading, tidy_line
from workers.ingest.parsing.plain import decoded


def markdown_blocks(data: bytes) -> Iterator[str]:
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(decoded(data))
    level = 0
    row: list[str] | None = None
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1:])
            case "heading_close":
                level = 0
            case "tr_open":
                row = []
            case "tr_close":
                yield " | ".join(row or ())
                row = None
            case "fence" | "code_block":
                yield fenced(token.content)
            case "inline":
                text = "\n".join(tidy_line(line) for line in _text(token).split("\n"))
                if row is not None:
                    row.append(text)
                else:
                    yield heading(level, text) if level else text


def _text(token: Token) -> str:
    pieces = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.type == "image":
            pieces.append(_text(child))
        else:
            pieces.append(child.content)
    return "".join(pieces)
