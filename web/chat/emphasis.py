"""Emphasis that works next to Hangul, as a markdown-it rule.

CommonMark closes `**용어(Term)**을` only if a space or punctuation follows, which Korean particles never are.
Here punctuation does not block a run of `*` or `_` when the character on the other side is CJK, as proposed in
https://github.com/tats-u/markdown-cjk-friendly (specification.md).
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3000-\u30ff\u3100-\u31bf\u31f0-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U0001b000-\U0001b16f\U00020000-\U0003fffd]"
)


def cjk_emphasis(markdown: MarkdownIt) -> None:
    """Plugin: `MarkdownIt().use(cjk_emphasis)`."""
    markdown.inline.ruler.at("emphasis", _emphasis)


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Push a run of `*` or `_` as delimiters; markdown-it's later rules pair them up."""
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    start = end = state.pos
    while end < state.posMax and state.src[end] == marker:
        end += 1
    before = state.src[start - 1] if start > 0 else " "
    after = state.src[end] if end < state.posMax else " "
    can_open, can_close = _flanking(before, after, may_split_word=marker == "*")
    for _ in range(end - start):
        token = state.push("text", "", 0)
        token.content = marker
        state.delimiters.append(
            Delimiter(
                marker=ord(marker),
                length=end - start,
                token=len(state.tokens) - 1,
                end=-1,
                open=can_open,
                close=can_close,
            )
        )
    state.pos = end
    return True


def _flanking(before: str, after: str, *, may_split_word: bool) -> tuple[bool, bool]:
    """Whether a run between these two characters can open, and can close, emphasis."""
    space_before, space_after = isWhiteSpace(ord(before)), isWhiteSpace(ord(after))
    punctuation_before, punctuation_after = _is_punctuation(before), _is_punctuation(after)
    beside_cjk = bool(_CJK.match(before) or _CJK.match(after))
    left = not space_after and (not punctuation_after or space_before or punctuation_before or beside_cjk)
    right = not space_before and (not punctuation_before or space_after or punctuation_after or beside_cjk)
    can_open = left and (may_split_word or not right or punctuation_before)
    can_close = right and (may_split_word or not left or punctuation_after)
    return can_open, can_close


def _is_punctuation(character: str) -> bool:
    return isMdAsciiPunct(ord(character)) or isPunctChar(character)
