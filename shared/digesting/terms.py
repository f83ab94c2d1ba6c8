"""Keywords, technical terms with what the article itself says they are, and what it takes for granted.

Everything here is a piece of the article, as it is written there: nothing is looked up or made up.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.digesting.article import Article
from shared.digesting.words import Name, names, names_of, pairs_of
from shared.text.morphemes import Morpheme

MOST_KEYWORDS = 8
MOST_TERMS = 10
MOST_PREREQUISITES = 5
MOST_EXPLANATION = 300  # characters

_TOGETHER = 0.6  # of the times that the rarer of two words is there
_IN_TITLE, _IN_HEADING = 1.0, 0.5  # more, of what it counts
_TERM = r"(?P<term>[^\s,.:;()][^,.:;()]{0,38}?)(?:\s?\([^)]{1,60}\))?"
_SAID_KO = re.compile(
    rf"^{_TERM}(?:은|는|이란|란|(?:이)?라는 것은|(?:이)?라 함은)\s+\S.{{8,}}"
    r"(?:이다|다|입니다|이에요|예요|뜻한다|뜻합니다|의미한다|의미합니다|말한다|말합니다|가리킨다|가리킵니다|일컫는다)"
    r"[.\s]*$"
)
_IS_KO = re.compile(r"(?:이다|입니다|이에요|예요|(?:뜻|의미|말|가리키|일컫|부르)\S{0,4}다)[.\s]*$")
_SAID_EN = re.compile(
    rf"^(?:An?\s|The\s)?{_TERM}\s(?:is|are|refers to|means)\s(?:an?|the|any|one|how|what|when)\s\S.{{8,}}$"
)
_SHORT = re.compile(r"(?<![A-Za-z])(?P<term>[A-Z][A-Z0-9]{1,9})\s?\((?P<said>[가-힣A-Za-z][가-힣A-Za-z -]{3,60})\)")
_PARTICLES = tuple("은는을를에의로과와도만")
_ASKED_FOR = re.compile(
    r"전제 ?조건|필수 ?(?:구성 ?요소|조건|지식)|사전 ?(?:요구|준비|지식)|선행|준비물|시작하기 전에|prerequisite"
    r"|before you (?:begin|start)|requirements",
    re.IGNORECASE,
)
_TAKEN_FOR_GRANTED = re.compile(
    r"(?:알고|이해하고|익숙해야|익숙하다고|경험이|지식이).{0,12}(?:있어야|필요|전제|가정|있다고)"
    r"|familiar with|assumes? (?:that )?you"
)


@dataclass(frozen=True, slots=True)
class Term:
    """`explanation`: a sentence of the article; None where it has none."""

    text: str
    explanation: str | None


@dataclass(frozen=True, slots=True)
class Terms:
    keywords: tuple[str, ...]
    terms: tuple[Term, ...]
    prerequisites: tuple[str, ...]


def terms_of(article: Article, morphemes: Sequence[Sequence[Morpheme]], title: Sequence[Morpheme]) -> Terms:
    """`morphemes`: of each item; `title`: of the title."""
    by_item = names(article, morphemes)
    with_pairs = [[*each, *pairs_of(item.text, each)] for item, each in zip(article.items, by_item, strict=True)]
    counts = Counter(name.key for each in with_pairs for name in each)
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for name in itertools.chain.from_iterable(with_pairs):
        spellings[name.key][name.text] += 1
    foreign = {name.key for each in by_item for name in each if name.is_foreign}
    in_title = {name.key for name in names_of(article.title, title)}
    headings = " ".join(article.headings).casefold()
    worth = {
        key: count * (1 + _IN_TITLE * (key in in_title) + _IN_HEADING * (key in headings))
        for key, count in counts.items()
        if _is_one_thing(key, counts)
    }
    ranked = sorted(worth, key=lambda key: (-worth[key], -len(key), key))
    said = explanations(article)

    def written(key: str) -> str:
        return spellings[key].most_common(1)[0][0]

    keywords = _without_parts([key for key in ranked if counts[key] > 1] or ranked, MOST_KEYWORDS)
    technical = [key for key in ranked if key in said or (key in foreign and len(key) > 2 and counts[key] > 1)]
    explained_first = sorted(technical[: 2 * MOST_TERMS], key=lambda key: key not in said)[:MOST_TERMS]
    taken_for_granted = [written(key) for key in technical if key not in said and key not in in_title]
    taken_for_granted = [name for name in taken_for_granted if name[0].isupper()]
    asked_for = list(_asked_for(article, by_item))
    prerequisites = list(dict.fromkeys([*asked_for, *taken_for_granted]))[:MOST_PREREQUISITES]
    return Terms(
        tuple(map(written, keywords)),
        tuple(Term(written(key), said.get(key)) for key in explained_first),
        tuple(prerequisites),
    )


def explanations(article: Article) -> dict[str, str]:
    """Sentences that say what something is, by its key; the first of each counts."""
    said: dict[str, str] = {}
    for item in article.items:
        if len(item.text) > MOST_EXPLANATION:
            continue
        match = _said(item.text, article.language)
        if match is not None:
            said.setdefault(match["term"].strip("'\"“”‘’ ").casefold(), item.text)
        for short in _SHORT.finditer(item.text):
            if _is_spelled_out(short["said"]):
                said.setdefault(short["term"].casefold(), short["said"].strip())
    return said


def _said(text: str, language: str) -> re.Match[str] | None:
    if language == "en":
        return _SAID_EN.match(text)
    return _SAID_KO.match(text) if _IS_KO.search(text) else None


def _is_one_thing(key: str, counts: Counter[str]) -> bool:
    """A pair counts if its words mostly stand together."""
    parts = key.split(" ")
    return len(parts) == 1 or (counts[key] > 1 and counts[key] >= _TOGETHER * min(counts[part] for part in parts))


def _is_spelled_out(text: str) -> bool:
    """English words, or a few Korean ones of which none goes on with a particle."""
    words = text.split()
    if all(word.isascii() for word in words):
        return 2 <= len(words) <= 8
    return len(words) <= 4 and not any(word.endswith(_PARTICLES) for word in words)


def _without_parts(keys: Sequence[str], limit: int) -> list[str]:
    """A word that lies within a longer keyword that was taken before tells nothing more."""
    kept: list[str] = []
    for key in keys:
        if len(kept) == limit:
            break
        if any(key in other for other in kept):
            continue
        kept = [other for other in kept if other not in key.split(" ")]
        kept.append(key)
    return kept


def _asked_for(article: Article, by_item: Sequence[Sequence[Name]]) -> Iterator[str]:
    """What the article says one has to have or know: the lines under such a heading, names in such a sentence."""
    for item, found in zip(article.items, by_item, strict=True):
        heading = article.headings[item.heading] if item.heading >= 0 else ""
        if _ASKED_FOR.search(heading) and len(item.text) <= MOST_EXPLANATION:
            yield item.text
        elif _TAKEN_FOR_GRANTED.search(item.text):
            yield from (name.text for name in found if name.is_foreign)
