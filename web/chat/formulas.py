"""Formulas in answers, as a markdown-it rule: `$...$`, `$$...$$`, `\\(...\\)` and `\\[...\\]` become MathML.

A formula is part of its paragraph, so it changes nothing about where blocks end (web/chat/blocks.py). What is no LaTeX
that we can show stays as it was written, and so do prices (`$5 and $6`) and what stands in code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from math_core import LatexError, LatexToMathML

_NAME = "formula"  # of the rule, its tokens, and what draws them
TAGS = frozenset(
    {
        *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "menclose", "mpadded"),
        *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts"),
        *("mtable", "mtr", "mtd", "mstyle", "mphantom"),
    }
)
_SPACES = {"lspace", "rspace", "width", "height", "depth", "voffset"}
ATTRIBUTES = {
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": {"stretchy", "symmetric", "largeop", "movablelimits", "minsize", "maxsize", "form", "separator", *_SPACES},
    "mspace": _SPACES,
    "mpadded": _SPACES,
    "mfrac": {"linethickness", "displaystyle"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "munderover": {"accent", "accentunder"},
    "menclose": {"notation"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"displaystyle", "scriptlevel"},
    "mtd": {"class"},
}
# math-core goes one call deeper for each level of a formula and crashes beyond 4,000 of them. A level takes at least a
# character, as long as nobody defines commands, and none of those expand here.
_LONGEST = 1_000
_LATEX = LatexToMathML(max_expansions=0, fancy_error=False)
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_WORDS = re.compile(r"\\(?:text|textrm|textbf|mbox|operatorname)\*?\{[^{}]*\}")
_ALIGNED = re.compile(r'style="text-align: (left|right);[^"]*"')


@dataclass(frozen=True, slots=True)
class _Fence:
    begin: str
    end: str
    is_display: bool


_FENCES = (
    *(_Fence("$$", "$$", True), _Fence("\\[", "\\]", True)),
    *(_Fence("\\(", "\\)", False), _Fence("$", "$", False)),
)


def formulas(markdown: MarkdownIt) -> None:
    """Plugin: `MarkdownIt().use(formulas)`. Its tokens hold MathML that nothing has sanitised yet."""
    markdown.inline.ruler.before("escape", _NAME, _formula)


def _formula(state: StateInline, silent: bool) -> bool:
    """Push a token for the formula that begins here, if one does."""
    fence = next((each for each in _FENCES if state.src.startswith(each.begin, state.pos)), None)
    if fence is None:
        return False
    begin = state.pos + len(fence.begin)
    end = _end(state.src, fence, begin, min(state.posMax, begin + _LONGEST + len(fence.end)))
    source = state.src[begin:end] if end > 0 else ""
    if not source.strip():
        return False
    after = end + len(fence.end)
    if fence.begin == "$" and not _is_no_price(state.src, state.pos, source, after):
        return False
    if not silent:
        html = _mathml(source, is_display=fence.is_display)
        kind, content = (_NAME, html) if html else ("text", state.src[state.pos : after])
        state.push(kind, "", 0).content = content
    state.pos = after
    return True


def _end(text: str, fence: _Fence, begin: int, stop: int) -> int:
    """Where its end begins, the first that no backslash stands before; -1 if there is none."""
    at = text.find(fence.end, begin, stop)
    while fence.end[0] == "$" and at > 0 and text[at - 1] == "\\":
        at = text.find(fence.end, at + 1, stop)
    return at


def _is_no_price(text: str, at: int, source: str, after: int) -> bool:
    """Of what stands between two single dollars: no spaces inside, no digits or letters outside, no Korean sentence."""
    before, behind = text[at - 1 : at], text[after : after + 1]
    is_tight = source == source.strip() and "\n" not in source and "`" not in source
    is_apart = not (before.isascii() and before.isalnum()) and not (behind.isascii() and behind.isalnum())
    return is_tight and is_apart and not _HANGUL.search(_WORDS.sub("", source))


def _mathml(source: str, *, is_display: bool) -> str:
    """Empty if it is no LaTeX that can be shown."""
    try:
        html = _LATEX.convert_with_local_state(source, displaystyle=is_display)
    except LatexError:
        return ""
    return _ALIGNED.sub(r'class="\1"', html)  # the policy forbids inline styles
