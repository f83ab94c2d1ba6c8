"""Markdown to HTML that may stand in a page. What a model writes is hostile input.

Two walls: markdown-it makes no raw HTML and no images, and nh3 lets through only what is listed here. A single
line break stays one, as in the open text of a streaming answer. `~~` strikes nothing: Koreans write it as a smile.
There are no reference definitions (`[x]: address`), so a block means the same alone as in its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight as pygments_highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from web.chat.emphasis import cjk_emphasis

_SCHEMES = {"http", "https", "mailto"}
_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "code", "pre", "a", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title", "target"},
    "ol": {"start"},
    "span": {"class"},
    "code": {"class"},
    "div": {"class"},
    "th": {"class"},
    "td": {"class"},
}
LONG = 20_000  # code points; longer text is parsed and rendered in a thread
_LONGEST_HIGHLIGHT = 20_000  # characters of code
_FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True)


def render(text: str) -> str:
    """Safe HTML of a whole answer or of one of its blocks."""
    return nh3.clean(
        str(_MARKDOWN.render(text)),
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
        tokens[index].attrSet("target", "_blank")
        return str(self.renderToken(tokens, index, options, env))

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """No remote picture is ever loaded: its words and its address are shown instead."""
        token = tokens[index]
        words = self.renderInlineAsText(token.children, options, env) if token.children else ""
        return _escape(f"{words} ({token.attrGet('src')})".strip())

    def fence(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        language = token.info.split()[0] if token.info.split() else ""
        return f'<pre><code class="code">{_highlighted(token.content, language)}</code></pre>\n'

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return _cell(tokens[index])

    def td_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return _cell(tokens[index])


def _cell(token: Token) -> str:
    """Alignment as a class: the policy forbids inline styles."""
    alignment = str(token.attrGet("style") or "").removeprefix("text-align:")
    return f'<{token.tag} class="{alignment}">' if alignment in ("center", "right") else f"<{token.tag}>"


def _highlighted(code: str, language: str) -> str:
    if not language or len(code) > _LONGEST_HIGHLIGHT:
        return _escape(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return _escape(code)
    return str(pygments_highlight(code, lexer, _FORMATTER))


def _escape(text: str) -> str:
    return nh3.clean_text(text)


def _is_allowed_link(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _make() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    markdown.enable("table").use(cjk_emphasis).disable(["html_block", "html_inline", "reference"])
    markdown.validateLink = _is_allowed_link  # type: ignore[method-assign]  # the documented way
    return markdown


_MARKDOWN = _make()
_BLOCKS_ONLY = _make().disable("inline")
