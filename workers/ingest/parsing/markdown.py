"""Markdown as readers see it, with its headings; code keeps its fence, so that none of its lines is taken for one.
Pictures that lie in it (shared/markdown_pictures.py) follow the block they stand in; no other one is looked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from shared.markdown_pictures import picture_number, take_out
from workers.ingest.parsing.parts import fenced, heading, tidy_line
from workers.ingest.parsing.plain import decoded


def markdown_blocks(data: bytes) -> Iterator[str]:
    """Without its pictures."""
    return (piece for piece in markdown_pieces(data) if isinstance(piece, str))


def markdown_pieces(data: bytes) -> Iterator[str | bytes]:
    """Blocks, and PNG or JPEG files, which may be damaged."""
    text, pictures = take_out(decoded(data))
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    level = 0
    shown: list[bytes] = []
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
                yield from shown
                shown = []
            case "fence" | "code_block":
                yield fenced(token.content)
            case "inline":
                text = "\n".join(tidy_line(line) for line in _text(token).split("\n"))
                shown += _pictures(token, pictures)
                if row is not None:
                    row.append(text)
                else:
                    yield heading(level, text) if level else text
                    yield from shown
                    shown = []


def _pictures(token: Token, pictures: Sequence[bytes]) -> Iterator[bytes]:
    for child in token.children or ():
        if child.type == "image":
            number = picture_number(str(child.attrGet("src")))
            if number is not None and number < len(pictures):
                yield pictures[number]


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
