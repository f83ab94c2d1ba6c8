"""Markdown to HTML that may stand in a page. What a model writes is hostile input.

Two walls: markdown-it makes no raw HTML and no images, and nh3 lets through only what is listed here. A single
line break stays one, as in the open text of a streaming answer. `~~` strikes nothing: Koreans write it as a smile.
There are no reference definitions (`[x]: address`), so a block means the same alone as in its answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import format as pygments_format
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import _TokenType

from web.chat.emphasis import cjk_emphasis
from web.chat.formulas import ATTRIBUTES as FORMULA_ATTRIBUTES
from web.chat.formulas import TAGS as FORMULA_TAGS
from web.chat.formulas import formulas

_SCHEMES = {"http", "https", "mailto"}
_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "code", "pre", "a", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *FORMULA_TAGS,
}
_ATTRIBUTES = {
    "a": {"href", "title", "target"},
    "ol": {"start"},
    "span": {"class"},
    "code": {"class"},
    "div": {"class"},
    "th": {"class"},
    "td": {"class"},
    **FORMULA_ATTRIBUTES,
}
LONG = 20_000  # code points; longer text is parsed and rendered in a thread
# Pygments' lexers take quadratic time for some texts, most of them for more than these (`java`: 2.5 s for 4,000 line
# breaks), so that only a few are used, for short blocks, and none for longer than a moment.
_LANGUAGES = frozenset(
    {
        *(
            "bash",
            "c",
            "c++",
            "cpp",
            "css",
            "diff",
            "go",
            "golang",
            "html",
            "ini",
            "javascript",
            "js",
            "json",
            "kotlin",
        ),
        *("py", "python", "rs", "rust", "sh", "sql", "toml", "ts", "typescript", "xml", "yaml", "yml"),
    }
)
_LONGEST_HIGHLIGHT = 4_000  # characters of one block of code
_LONGEST_CODE = 20_000  # characters of all blocks of one answer that are highlighted
_LONGEST_S = 0.2  # of the processor, for all blocks of one answer
_WORK = "nunmal_highlighting"
_FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True)


def render(text: str) -> str:
    """Safe HTML of a whole answer or of one of its blocks."""
    return nh3.clean(
        str(_MARKDOWN.render(text, {_WORK: _Work()})),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def parse(text: str) -> list[Token]:
    """The block structure, without looking inside paragraphs (cheap)."""
    return _BLOCKS_ONLY.parse(text)


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        if token.attrGet("href"):
            token.attrSet("target", "_blank")
        else:
            del token.attrs["href"]  # `[words]()` leads nowhere, not to this page once more
        return str(self.renderToken(tokens, index, options, env))

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """No remote picture is ever loaded: its words and its address are shown instead."""
        token = tokens[index]
        words = self.renderInlineAsText(token.children, options, env) if token.children else ""
        return _escape(f"{words} ({token.attrGet('src')})".strip())

    def fence(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        language = token.info.split()[0] if token.info.split() else ""
        return f'<pre><code class="code">{_highlighted(token.content, language, env[_WORK])}</code></pre>\n'

    def formula(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return tokens[index].content

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return _cell(tokens[index])

    def td_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return _cell(tokens[index])


def _cell(token: Token) -> str:
    """Alignment as a class: the policy forbids inline styles."""
    alignment = str(token.attrGet("style") or "").removeprefix("text-align:")
    return f'<{token.tag} class="{alignment}">' if alignment in ("center", "right") else f"<{token.tag}>"


@dataclass(slots=True)
class _Work:
    """What highlighting one answer may still take."""

    characters: int = _LONGEST_CODE
    seconds: float = _LONGEST_S


class _TooSlow(Exception):
    """This code takes its lexer too long."""


def _highlighted(code: str, language: str, work: _Work) -> str:
    """Plain if the language is none of ours, or if it is too long or takes too long."""
    if language not in _LANGUAGES or len(code) > min(_LONGEST_HIGHLIGHT, work.characters):
        return _escape(code)
    work.characters -= len(code)
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    started = time.thread_time()
    try:
        return str(pygments_format(_in_time(lexer, code, started + work.seconds), _FORMATTER))
    except _TooSlow:
        return _escape(code)
    finally:
        work.seconds -= time.thread_time() - started


def _in_time(lexer: Lexer, code: str, until: float) -> Iterator[tuple[_TokenType, str]]:
    """The tokens of this code. Raises _TooSlow when this thread has worked until then."""
    for token in lexer.get_tokens(code):
        if time.thread_time() > until:
            raise _TooSlow
        yield token


def _escape(text: str) -> str:
    return nh3.clean_text(text)


def _is_allowed_link(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _make() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    markdown.enable("table").disable(["html_block", "html_inline", "reference"])
    markdown.use(cjk_emphasis).use(formulas)
    markdown.validateLink = _is_allowed_link  # type: ignore[method-assign]  # the documented way
    return markdown


_MARKDOWN = _make()
_BLOCKS_ONLY = _make().disable("inline")
