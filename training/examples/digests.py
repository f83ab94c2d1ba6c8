"""Worked example 3, a job of the house: digests of articles, asked as the service asks (shared/digesting/asking.py).

Nobody wrote summaries of the articles in `docs/`, so three things stand in for them, and only what passes the check
that serving makes (shared/digesting/checks.py) is learned:

    extract   sentences of the article that our own method without a model chooses: a model learns to do the same
    lead      the first two sentences, where the rest of the article names all they name; the rest is what is shown
    terms     a sentence that says what a term is; what is shown is the article without it

Long articles are also cut into pieces at their headings. `domain` has the articles as prose. Articles are held out by
their path; what gives a test away (training/data/leakage.py) is left out. Sources are those that published weights may
learn from, and no others.

How to run:
    python -m training.examples.digests --out var/training/digests
    python -m training.tune --config training/recipes/tune/digests_lora.yaml
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.digest_errors import DigestError
from shared.digesting.article import Article, Item, read_article, without_front_matter
from shared.digesting.asking import Question, Written, answer_of, question_of
from shared.digesting.checks import Outcome, Source
from shared.digesting.summary import ranked_places
from shared.digesting.terms import MOST_TERMS, explanations
from shared.digesting.words import names_of
from shared.errors import ConfigError
from shared.settings import load_settings
from shared.text.morphemes import Morpheme, analysed
from training.data.leakage import find_leaks, load_tests
from training.data.rows import single
from training.data.sources import SOURCES, SourceError, read_rows
from training.examples import prepared

HELD_OUT = 0.15  # of the articles
SHOWN = 700  # characters of an article's sentences
_FEWEST_ITEMS, _MOST_ITEMS = 6, 30  # of a piece
_MOST_CHOSEN = 3  # sentences of a summary
_MARKS = re.compile(r"[|*]|\]\[")  # what is left of markup in a sentence


@dataclass(frozen=True, slots=True)
class Piece:
    """An article or a part of one. `morphemes`: of each item; `title`: of the title."""

    key: str
    article: Article
    morphemes: list[list[Morpheme]]
    title: list[Morpheme]

    def without(self, places: frozenset[int]) -> Piece:
        kept = [place for place in range(len(self.article.items)) if place not in places]
        items = tuple(self.article.items[place] for place in kept)
        return replace(
            self, article=replace(self.article, items=items), morphemes=[self.morphemes[place] for place in kept]
        )

    def asked(self, terms: Sequence[str]) -> Question:
        return question_of(self.article, self.morphemes, self.title, terms, most_characters=SHOWN)


def articles(data_dir: Path) -> Iterator[Piece]:
    """Korean ones of the free sources. Raises SourceError: a file is missing."""
    for name in sorted(name for name, source in SOURCES.items() if source.kind == "markdown"):
        for row in read_rows(name, data_dir):
            title, body = without_front_matter(row["markdown"])
            try:
                article = read_article(body, row["title"] or title)
            except DigestError:
                continue
            if article.language == "ko":
                found = [analysed(item.text) for item in article.items]
                yield Piece(f"{name}/{row['path']}", article, found, analysed(article.title))


def pieces(piece: Piece) -> Iterator[Piece]:
    """The whole, and where it is long its parts between headings."""
    article = piece.article
    yield piece
    if len(article.items) <= _MOST_ITEMS:
        return
    for heading, name in enumerate(article.headings):
        places = [place for place, item in enumerate(article.items) if item.heading == heading][:_MOST_ITEMS]
        if len(places) >= _FEWEST_ITEMS:
            items = tuple(Item(article.items[place].text, 0, article.items[place].is_listed) for place in places)
            part = Article(name, (name,), items, (), article.language)
            yield Piece(f"{piece.key}#{heading}", part, [piece.morphemes[place] for place in places], analysed(name))


def pairs(piece: Piece) -> Iterator[tuple[str, Question, Written]]:
    """What stands in for a digest of it, each with the kind it is."""
    if len(piece.article.items) < _FEWEST_ITEMS:
        return
    yield from _explained(piece)
    yield from _checked("extract", piece, _said(piece, _best(piece)), {})
    rest = piece.without(frozenset((0, 1)))
    if not piece.article.items[0].is_listed and len(rest.article.items) >= _FEWEST_ITEMS:
        yield from _checked("lead", rest, _said(piece, (0, 1)), {})


def prepare(found: Sequence[Piece]) -> dict[str, list[dict[str, Any]]]:
    """`domain`: prose of those that are learned; `train` and `held_out`: questions with their digests."""
    made: dict[str, list[dict[str, Any]]] = {"domain": [], "train": [], "held_out": []}
    for whole in found:
        is_held_out = prepared.is_held_out(whole.key, HELD_OUT)
        if not is_held_out:
            made["domain"].append({"id": whole.key, "text": whole.article.prose})
        for piece in pieces(whole):
            for kind, question, written in pairs(piece):
                row = prepared.row_of(f"{piece.key}:{kind}", question.text, answer_of(written), "")
                made["held_out" if is_held_out else "train"].append(row)
    return made


def without_leaks(rows: Sequence[dict[str, Any]], data_dir: Path) -> list[dict[str, Any]]:
    """Those that give no test away. Rows of plain text count as one turn."""
    turns = [[turn["content"] for turn in row.get("messages", [])] or [row["text"], ""] for row in rows]
    talks = [single("digests", *both) for both in turns]
    leaking = {leak.row for leak in find_leaks(talks, load_tests(data_dir / "eval"))}
    return [row for place, row in enumerate(rows) if place not in leaking]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of domain, train, held_out.jsonl, and eda.md")
    parser.add_argument("--data-dir", type=Path, default=load_settings().data_dir)
    given = parser.parse_args(arguments)
    try:
        found = list(articles(given.data_dir))
        made = prepare(found)
        clean = {name: without_leaks(rows, given.data_dir) for name, rows in made.items()}
        lost = sum(len(made[name]) - len(clean[name]) for name in made)
        counts = Counter(row["id"].rpartition(":")[2] for row in clean["train"])
        facts = [f"- {len(found)} articles", f"- {lost} rows give a test away and are left out"]
        learned = clean.pop("domain")
        prepared.write(given.out, clean, ["# Digests", "", *facts, *prepared.counted("kind", counts)])
        prepared.write_rows(given.out / "domain.jsonl", learned)
    except (ConfigError, SourceError) as error:
        sys.stderr.write(f"training.examples.digests: {error}\n")
        return 2
    print((given.out / "eda.md").read_text(encoding="utf-8"))
    return 0


def _explained(piece: Piece) -> Iterator[tuple[str, Question, Written]]:
    """Each definition by itself, asked of the article without it."""
    for key, said in list(explanations(piece.article).items())[:MOST_TERMS]:
        at = next((place for place, item in enumerate(piece.article.items) if item.text == said), None)
        term = _as_written(key, said)
        if at is None or term is None or not list(names_of(term, analysed(term))):
            continue
        rest = piece.without(frozenset((at,)))
        yield from _checked("terms", rest, _said(rest, _best(rest)), {term: said})


def _checked(kind: str, piece: Piece, summary: str, said_of: dict[str, str]) -> Iterator[tuple[str, Question, Written]]:
    question = piece.asked(list(said_of))
    source = Source(piece.article, question.text)
    outcomes = {source.on_summary(summary, analysed(summary))}
    outcomes |= {source.on_explanation(term, said, analysed(said)) for term, said in said_of.items()}
    if len(question.terms) == len(said_of) and outcomes == {Outcome.USED} and not _MARKS.search(summary):
        yield kind, question, Written(summary, said_of)


def _best(piece: Piece) -> list[int]:
    """As our own method chooses, but fewer: a small model writes no more."""
    return sorted(ranked_places(piece.article, piece.morphemes, piece.title)[:_MOST_CHOSEN])


def _said(piece: Piece, places: Sequence[int]) -> str:
    return " ".join(piece.article.items[place].text for place in places)


def _as_written(key: str, said: str) -> str | None:
    """A term's key is without case."""
    at = said.casefold().find(key)
    return said[at : at + len(key)] if at >= 0 else None


if __name__ == "__main__":
    sys.exit(main())
