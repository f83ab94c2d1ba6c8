"""An article as a digest reads it: headings, sentences and code apart, without the marks of Markdown and HTML.

What enters is the text of a parsed document (workers/ingest/parsing): headings as `## ...`, code between fences. What
is left of markup (JSX, directives, tables, links to pictures) is no sentence and goes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from shared.digest_errors import DigestLanguageOther, DigestLanguageUnknown, DigestWithoutText
from shared.text.english import share_of_common_words
from shared.text.sentences import sentences

LEAST_CHARACTERS = 80  # of sentences; less is no article
LANGUAGES = ("ko", "en")

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\n(.*?)\n---[ \t]*\n", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)
_FENCED = re.compile(r"^(`{3,20}(?!`)|~{3,20}(?!~))[^\n]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(?:#{1,6}|={1,6})[ \t]+(\S.*)$")  # the second: AsciiDoc
_TAGS = (
    "a|abbr|b|blockquote|br|button|center|code|dd|details|div|dl|dt|em|figcaption|figure|font|h[1-6]|hr|i|iframe|img|input"
    "|kbd|li|mark|ol|p|path|picture|pre|s|script|section|small|source|span|strong|style|sub|summary|sup|svg|table|tbody"
    "|td|th|thead|tr|u|ul|video"
)
# Every repetition has a bound: a million letters of brackets must not take longer than a million of prose.
_MARKUP = re.compile(
    rf"</?(?:{_TAGS})(?:\s[^<>]{{0,2000}})?/?>|<!--.{{0,2000}}?-->|(?<![A-Za-z0-9_])</?[A-Z][\w.]{{0,80}}(?:\s[^<>]{{0,2000}})?/?>"
    r"|\{/.{0,200}?/\}|\{[#%{*].{0,200}?[#%}*]\}|\[!\w{1,40}[^\]]{0,200}\]|!?\[([^\]\n]{0,300})\]\([^)\n]{0,1000}\)"
    r"|https?://\S+"
)
_UNSAID = re.compile(
    r"^(?:\[[\w-]+\]:|:::|\.\. |:\w+:|\||[-=*_~+^]{3,}|(?:import|export) [\w{*]|\[[^\]]*\]$|ifdef|endif|include::)"
)
_LIST_MARK = re.compile(r"^(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_MARKS = re.compile(r"\*\*|__|`|^>+\s?")
_HANGUL = re.compile(r"[가-힣]")
_LEAST_HANGUL = 0.15  # of the letters of Korean prose about programs
_LEAST_LATIN = 0.7
_LEAST_COMMON = 0.2  # of the words of English prose


@dataclass(frozen=True, slots=True)
class Item:
    """One sentence, or one line of a list. `heading`: which of the article's headings it stands under; -1: none."""

    text: str
    heading: int
    is_listed: bool


@dataclass(frozen=True, slots=True)
class Article:
    """`items`: in order. `code`: what stood between fences."""

    title: str
    headings: tuple[str, ...]
    items: tuple[Item, ...]
    code: tuple[str, ...]
    language: str  # one of LANGUAGES

    @property
    def prose(self) -> str:
        return "\n".join((self.title, *self.headings, *(item.text for item in self.items)))


def without_front_matter(markdown: str) -> tuple[str, str]:
    """The text below the block of settings that site generators want, and the title it names, or nothing."""
    match = _FRONT_MATTER.match(markdown)
    if match is None:
        return "", markdown
    title = _TITLE.search(match[1])
    return title[1] if title else "", markdown[match.end() :]


def read_article(text: str, title: str = "", language: str | None = None) -> Article:
    """`text`: as parsers give it. `language`: what its sender says it is; None: nothing.

    Raises DigestWithoutText, DigestLanguageUnknown, DigestLanguageOther.
    """
    code = tuple(match[2].rstrip() for match in _FENCED.finditer(text) if match[2].strip())
    headings: list[str] = []
    items: list[Item] = []
    paragraph: list[str] = []
    is_listed = False

    def end() -> None:
        whole = _plain(" ".join(paragraph))
        found = [whole[span.start : span.end].strip() for span in sentences(whole)]
        items.extend(Item(each, len(headings) - 1, is_listed) for each in found if _says_something(each))
        paragraph.clear()

    for raw in _FENCED.sub("\n\n", text).split("\n"):
        line = raw.strip()
        if match := _HEADING.match(line):
            end()
            if shown := _plain(match[1]):
                headings.append(shown)
        elif not line or _UNSAID.match(line):
            end()
            is_listed = False
        else:
            if mark := _LIST_MARK.match(line):
                end()
                is_listed, line = True, line[mark.end() :]
            paragraph.append(line)
    end()
    found_language = _language("\n".join(item.text for item in items))
    if language is not None and language != found_language:
        raise DigestLanguageOther(said=language, found=found_language)
    shown_title = _plain(title) or (headings[0] if headings else items[0].text)
    return Article(shown_title, tuple(headings), tuple(items), code, found_language)


def _plain(line: str) -> str:
    """Without marks, links as what they show."""
    shown = _MARKUP.sub(lambda match: match[1] or "", line)
    return " ".join(unicodedata.normalize("NFC", _MARKS.sub("", shown)).split())


def _says_something(text: str) -> bool:
    return len(text) > 1 and any(letter.isalpha() for letter in text)


def _language(prose: str) -> str:
    letters = [letter for letter in prose if letter.isalpha()]
    if len(letters) < LEAST_CHARACTERS:
        raise DigestWithoutText(limit=LEAST_CHARACTERS)
    if len(_HANGUL.findall(prose)) >= _LEAST_HANGUL * len(letters):
        return "ko"
    if (
        sum(letter.isascii() for letter in letters) >= _LEAST_LATIN * len(letters)
        and share_of_common_words(prose) >= _LEAST_COMMON
    ):
        return "en"
    raise DigestLanguageUnknown
