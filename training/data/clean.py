"""Make plain Korean prose of what we were given.

Markdown loses its code, tables, links, images and tags; paragraphs with too little Hangul and
repeated paragraphs go; film reviews with abuse or noise go. It is not a safety filter: the word
list is short and only keeps the worst tone out of a very small model.
"""

from __future__ import annotations

import re
import unicodedata

MIN_HANGUL_SHARE = 0.5

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^>\n]*>")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)|!\[[^\]]*\]\[[^\]]*\]")
_LINK = re.compile(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])")
_URL = re.compile(r"https?://\S+")
_HEADING_ID = re.compile(r"\s*\{[#/][^}]*\}")
_DIRECTIVE = re.compile(r"^\s*(:::|\.\. |\[!|\{%|\{\{|import |export )")
_LIST_MARK = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_EMPHASIS = re.compile(r"(\*\*|__|\*|`)")
_SPACE = re.compile(r"[ \t ]+")
_REPEATED = re.compile(r"(.)\1{3,}")

# Our own short list of stems that we do not want a small model to copy.
_ABUSE = (
    "시발",
    "씨발",
    "ㅅㅂ",
    "병신",
    "ㅂㅅ",
    "개새",
    "새끼",
    "지랄",
    "쓰레기",
    "좆",
    "존나",
    "졸라",
    "미친",
    "꺼져",
    "닥쳐",
    "죽어",
    "죽여",
    "자살",
    "창녀",
    "걸레",
    "년들",
    "놈들",
    "썅",
    "엿먹",
    "빨갱",
    "좌빨",
    "수꼴",
    "일베",
    "홍어",
    "짱깨",
    "쪽바리",
    "쪽빠리",
    "게이",
    "장애인",
    "섹스",
    "야동",
    "강간",
    "변태",
    "벗기",
    "가슴",
    "토나",
    "토할",
    "역겹",
    "더럽",
    "대가리",
    "아가리",
    "똥",
    "씹",
    "ㅈㄹ",
    "ㅄ",
    "호구",
    "찌질",
    "한심",
    "멍청",
    "바보",
)


def hangul_share(text: str) -> float:
    """Share of Hangul among the letters of a text; 0.0 when it has none."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return 0.0
    return sum("가" <= c <= "힣" for c in letters) / len(letters)


def tidy(text: str) -> str:
    """NFC, single spaces, no space at either end. Line breaks stay."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    return "\n".join(_SPACE.sub(" ", line).strip() for line in text.split("\n")).strip()


def markdown_paragraphs(markdown: str) -> list[str]:
    """The paragraphs of prose in a Markdown text, headings and list marks taken off."""
    text = unicodedata.normalize("NFC", markdown).replace("\r\n", "\n")
    for pattern in (_FRONT_MATTER, _COMMENT, _FENCE, _IMAGE):
        text = pattern.sub("", text)
    text = _LINK.sub(r"\1", text)
    for pattern in (_TAG, _URL, _HEADING_ID):
        text = pattern.sub("", text)
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = []
        for line in block.split("\n"):
            if line.count("|") >= 2 or _DIRECTIVE.match(line) or line.startswith("    "):
                continue
            line = _LIST_MARK.sub("", line.lstrip("#> "))
            line = _SPACE.sub(" ", _EMPHASIS.sub("", line)).strip()
            if line:
                lines.append(line)
        if lines:
            paragraphs.append("\n".join(lines))
    return paragraphs


def korean_paragraphs(paragraphs: list[str], seen: set[str]) -> list[str]:
    """Keep paragraphs that are Korean and new. Mutates `seen` (kept paragraphs)."""
    kept = []
    for paragraph in paragraphs:
        paragraph = tidy(paragraph)
        if len(paragraph) < 10 or hangul_share(paragraph) < MIN_HANGUL_SHARE:
            continue
        if paragraph in seen:
            continue
        seen.add(paragraph)
        kept.append(paragraph)
    return kept


def is_usable_review(text: str) -> bool:
    """Whether a film review is long enough, Korean, and free of abuse and keyboard noise."""
    compact = text.replace(" ", "")
    if not 12 <= len(text) <= 140 or hangul_share(text) < 0.9:
        return False
    if any(word in compact for word in _ABUSE):
        return False
    jamo = sum("ㄱ" <= c <= "ㅣ" for c in text)
    return jamo <= 2 and not _REPEATED.search(text)
