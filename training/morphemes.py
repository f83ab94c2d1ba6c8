"""Korean words in their parts, by Kiwi: what overlap of texts counts, and where terms of a domain begin and end. Its
dictionary takes a second and 200 MB, when it is first needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_PUNCTUATION = ("SF", "SP", "SS", "SE", "SO", "SW", "SB")  # of Kiwi's tags
_NOUNS = ("NNG", "NNP", "XPN", "XSN")  # with what is put before and behind them, as in 수급자


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


@cache
def _kiwi() -> Any:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)
