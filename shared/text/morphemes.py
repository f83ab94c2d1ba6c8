"""Korean words in their parts, by Kiwi: what overlap of texts counts, where terms of a domain begin and end, and by
what a text is found. Its dictionary takes seconds and 330 MB when it is first needed (500 MB with names of several
words), and Kiwi holds the interpreter's lock while it works: never on an event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

_PUNCTUATION = ("SF", "SP", "SS", "SE", "SO", "SW", "SB")  # of Kiwi's tags
_NOUNS = ("NNG", "NNP", "XPN", "XSN")  # with what is put before and behind them, as in 수급자
_VERBS = ("VV", "VA")
_SAYING = (*_VERBS, "NNG", "NNP", "NR", "XR", "MAG", "SL", "SH", "SN", "W_")  # what says something by itself
_VERB_MARK = "다/"  # a noun may end in 다 (바다)


@dataclass(frozen=True, slots=True)
class Stem:
    """A word as a dictionary has it (걷다 of 걸었어요), and where it stands with its endings, in code points."""

    text: str
    start: int
    end: int

    @property
    def is_verb(self) -> bool:
        """Or an adjective."""
        return self.text.endswith(_VERB_MARK)


@dataclass(frozen=True, slots=True)
class Morpheme:
    """As it stands in a text (`start` to `end`, in code points), with Kiwi's tag; `form` is that of a dictionary."""

    form: str
    tag: str
    start: int
    end: int


def analysed(text: str) -> list[Morpheme]:
    """All of them, punctuation too."""
    tokens = _kiwi(has_long_names=False).tokenize(text)
    return [Morpheme(token.form, token.tag, token.start, token.start + token.len) for token in tokens]


def stems(text: str) -> list[Stem]:
    """What is found in `text` and finds it: nouns, verbs, adjectives, adverbs, foreign words, numbers, without case.

    A verb's text is its dictionary form and a slash (걷다/), so that it is never taken for a noun."""
    tokens = _kiwi(has_long_names=False).tokenize(text)
    found: list[Stem] = []
    for at, token in enumerate(tokens):
        if not token.tag.startswith(_SAYING):
            continue
        if token.tag.startswith(_VERBS):
            found.append(Stem(f"{token.form}{_VERB_MARK}", token.start, _end_of_word(tokens, at)))
        else:
            found.append(Stem(token.form.casefold().replace(" ", ""), token.start, token.start + token.len))
    return found


def morphemes(text: str) -> list[str]:
    """Form and tag of every morpheme that is no punctuation."""
    found = _kiwi().tokenize(text)
    return [f"{token.form}/{token.tag}" for token in found if not token.tag.startswith(_PUNCTUATION)]


def nouns(text: str) -> list[str]:
    """Nouns as they are written: those without a space between them are one (기초생활수급자)."""
    made: list[str] = []
    end = -1
    for token in _kiwi().tokenize(text):
        if not token.tag.startswith(_NOUNS):
            continue
        if token.start == end:
            made[-1] += text[token.start : token.end]
        else:
            made.append(text[token.start : token.end])
        end = token.end
    return made


def _end_of_word(tokens: list[Any], at: int) -> int:
    """Where the endings end that follow the verb; they may lie over it (걸었 is 걷 and 었)."""
    end = tokens[at].start + tokens[at].len
    for token in tokens[at + 1 :]:
        if not token.tag.startswith("E") or token.start > end:
            break
        end = max(end, token.start + token.len)
    return int(end)


@cache
def _kiwi(*, has_long_names: bool = True) -> Any:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1, load_multi_dict=has_long_names)
