"""What a written answer claims, sentence by sentence, and which of the passages it was written from bears each out.

A model's own references ([2]) are a hint and nothing more: they are taken out, and who cites is decided here. A passage
bears a claim out if it has every number and every name of it and most of its other words; names and words of the
question are free. So an invented number or name is found, and so is a fact in other words. Not found: the same words in
another relation (more for less, did for did not); nothing here understands them. Pure; morphemes come from the caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.text.morphemes import Morpheme
from shared.text.sentences import sentences

WORDS_FROM = 0.6  # share of a claim's other words that its passage has to have (BENCHMARKS.md)

_REFERENCE = re.compile(r"[ \t]?\[(\d{1,2}(?:[ \t]*,[ \t]*\d{1,2})*)\](?!\()")
_FENCE = re.compile(r"^[ ]{0,3}(?:```|~~~)")
_NO_CLAIM = re.compile(r"^\s*(?:#{1,6}\s|\||[-*_=]{3,}\s*$)|[:：]\s*$")  # headings, tables, rules, what announces
_EMPHASIS = str.maketrans("*_", '""')  # closes behind a full stop, as quotation marks do
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAMES = ("NNP", "SL", "SH")
_WORDS = ("NNG", "XR", "NR", "VV", "VA", "MAG")
_EMPTY = frozenset({"있", "하", "되", "이", "같", "없", "것", "수", "때", "그렇", "또한", "따르", "대하", "통하"})
_LEAST_WORDS = 2  # numbers and names among them; what has fewer says nothing that could be looked up


class Claim(NamedTuple):
    """`text[start:end]` of an answer without references; `said`: those that the model gave it."""

    start: int
    end: int
    said: tuple[int, ...]


class Claims(NamedTuple):
    """`text`: the answer without references."""

    text: str
    claims: tuple[Claim, ...]

    @property
    def texts(self) -> list[str]:
        return [self.text[claim.start : claim.end] for claim in self.claims]


@dataclass(frozen=True, slots=True)
class Wording:
    """What a text says, as far as it can be looked up elsewhere."""

    numbers: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]
    bare: str = field(repr=False)  # its letters without white space

    @classmethod
    def of(cls, text: str, morphemes: Sequence[Morpheme]) -> Wording:
        return cls(
            frozenset(number.replace(",", "") for number in _NUMBER.findall(text)),
            frozenset(each.form.casefold() for each in morphemes if each.tag in _NAMES),
            frozenset(each.form for each in morphemes if each.tag.startswith(_WORDS) and each.form not in _EMPTY),
            "".join(text.split()).casefold(),
        )

    @property
    def says_something(self) -> bool:
        return len(self.numbers) + len(self.names) + len(self.words) >= _LEAST_WORDS

    def has(self, word: str) -> bool:
        return word in self.words or "".join(word.split()) in self.bare


def claims_in(answer: str) -> Claims:
    """The sentences of an answer that claim something, in their order: not code, tables, headings, announcements."""
    text, given = _without_references(answer)
    claims = []
    for start, end in _sentences(text):
        end = start + len(text[start:end].rstrip())
        said = tuple(number for place, numbers in given if start < place <= end for number in numbers)
        claims.append(Claim(start, end, tuple(dict.fromkeys(said))))
    return Claims(text, tuple(claims))


def borne_out_by(
    claim: Wording, said: Sequence[int], question: Wording, passages: Sequence[Wording]
) -> tuple[int, ...]:
    """Numbers of passages, from 1: those the model named that bear it out, else the best that does; none may."""
    shares = {number: _share(claim, question, passage) for number, passage in enumerate(passages, 1)}
    named = tuple(number for number in said if shares.get(number, 0.0) >= WORDS_FROM)
    if named:
        return named
    best = max(shares, key=lambda number: shares[number], default=0)
    return (best,) if best and shares[best] >= WORDS_FROM else ()


def _share(claim: Wording, question: Wording, passage: Wording) -> float:
    """Of the claim's words that are not the question's; 0 where a number or name is missing."""
    if not claim.numbers <= passage.numbers:
        return 0.0
    if not all(question.has(name) or passage.has(name) for name in claim.names):
        return 0.0
    own = [word for word in claim.words if word not in question.words]
    if not own and not claim.numbers and not claim.names - question.names:
        own = list(claim.words)  # it says nothing of its own, so all of it is looked up
    return sum(passage.has(word) for word in own) / len(own) if own else 1.0


def _without_references(answer: str) -> tuple[str, list[tuple[int, list[int]]]]:
    """And where they stood in what is left, each with its numbers."""
    pieces: list[str] = []
    given: list[tuple[int, list[int]]] = []
    length = last = 0
    for match in _REFERENCE.finditer(answer):
        piece = answer[last : match.start()]
        length += len(piece)
        pieces.append(piece)
        given.append((length, [int(number) for number in match[1].split(",")]))
        last = match.end()
        if answer[last : last + 1].isalnum():  # "...다.[1]다음" are two sentences still
            pieces.append(" ")
            length += 1
    return "".join([*pieces, answer[last:]]), given


def _sentences(text: str) -> list[tuple[int, int]]:
    """A line of an answer is whole: no sentence goes over its end."""
    found = []
    at, is_code = 0, False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            is_code = not is_code
        elif not is_code and line.strip() and not _NO_CLAIM.search(line):
            found += [(at + start, at + end) for start, end in sentences(line.translate(_EMPHASIS))]
        at += len(line)
    return found
