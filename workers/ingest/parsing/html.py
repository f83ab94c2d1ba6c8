"""HTML as readers see it, with its headings and its code between fences; scripts and styles are dropped, nothing is
fetched."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree
from lxml import html as lxml_html

from shared.document_errors import DocumentBroken
from workers.ingest.parsing.parts import fenced, heading, tidy_line
from workers.ingest.parsing.plain import decoded

_UNSEEN = ("script", "style", "noscript", "template", "head", "svg", "iframe", "object")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE = frozenset(
    (
        *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd"),
        *("label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time"),
        *("u", "var", "wbr"),
    )
)


def html_blocks(data: bytes) -> Iterator[str]:
    """Raises DocumentBroken."""
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = lxml_html.document_fromstring(decoded(data).encode(), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise DocumentBroken from error
    etree.strip_elements(root, *_UNSEEN, with_tail=False)
    line: list[str] = []
    level = 0
    code = None
    for event, element in etree.iterwalk(root, events=("start", "end")):
        is_inline = element.tag in _INLINE
        if code is not None:
            if element is code and event == "end":
                code, line = None, [element.tail or ""]
            continue
        if not is_inline:
            text = tidy_line(" ".join("".join(line).split()))
            if text:
                yield heading(level, text) if level else text
            line = []
            if event == "start" and element.tag == "pre":
                code = element
                yield fenced("".join(element.itertext()))
                continue
            level = _HEADINGS.get(str(element.tag), 0) if event == "start" else 0
        line.append((element.text if event == "start" else element.tail) or "")
