"""What somebody looks for, as patterns over stems. A text's stems stand between spaces: " 공원 걷다/ "."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.organising_errors import SearchTooLong, SearchTooShort
from shared.text.morphemes import Stem
from web.forms import tidy

MOST_CHARACTERS = 100
MOST_WORDS = 8

_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_SYLLABLES_OF_ONE = 588  # that begin with the same letter
_ABBREVIATED = re.compile(rf"[가-힣]*[{_INITIALS}]+")
_ONE_SYLLABLE = re.compile(r"[가-힣]")


@dataclass(frozen=True, slots=True)
class Query:
    """`patterns`: regular expressions that all have to be found; of literals and classes, so they take linear time."""

    patterns: tuple[str, ...]

    def is_hit(self, stem: Stem) -> bool:
        return any(re.search(pattern, f" {stem.text} ") for pattern in self.patterns)


def words_of(text: str) -> list[str]:
    """The words of what was typed. Raises SearchTooLong, SearchTooShort, MessageInvalid."""
    text = tidy(text, MOST_CHARACTERS)
    words = text.split()
    if len(text) > MOST_CHARACTERS or len(words) > MOST_WORDS:
        raise SearchTooLong(limit=MOST_CHARACTERS, words=MOST_WORDS)
    if any(word in _INITIALS for word in words):
        raise SearchTooShort
    return words


def query_of(words: Sequence[str], stems_of_words: Iterable[Sequence[Stem]]) -> Query:
    """`stems_of_words`: of each word. One that has none (그것) is looked for as it is written."""
    patterns: dict[str, None] = {}
    for word, stems in zip(words, stems_of_words, strict=True):
        if _ABBREVIATED.fullmatch(word):
            patterns[_abbreviated(word)] = None
        elif not stems:
            patterns[f" {re.escape(word.casefold())}"] = None
        else:
            patterns |= dict.fromkeys(map(_pattern, stems))
    return Query(tuple(patterns))


def _pattern(stem: Stem) -> str:
    """A verb as it is; a noun also as the beginning of a longer one. One syllable is a whole word, or a verb's stem:
    by itself 먹 reads as a noun."""
    text = re.escape(stem.text)
    if stem.is_verb:
        return f" {text} "
    if _ONE_SYLLABLE.fullmatch(stem.text):
        return f" {text}(다/)? "
    return f" {text}" if len(stem.text) > 1 else f" {text} "


def _abbreviated(word: str) -> str:
    """ㅎㄱ, or 한ㄱ: every syllable that begins with the letter."""
    return " " + "".join(_class_of(letter) if letter in _INITIALS else letter for letter in word)


def _class_of(initial: str) -> str:
    first = ord("가") + _INITIALS.index(initial) * _SYLLABLES_OF_ONE
    return f"[{chr(first)}-{chr(first + _SYLLABLES_OF_ONE - 1)}]"
