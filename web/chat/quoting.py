"""A part of an answer as it stands before what somebody says about it."""

from __future__ import annotations


def quote(text: str) -> str:
    """Each line behind Markdown's mark, then an empty one."""
    lines = text.strip().split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"
