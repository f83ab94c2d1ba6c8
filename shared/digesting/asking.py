"""A digest asked of a language model: what it is shown, the JSON Schema that holds its answer, and what it said. Pure;
the question that serves is the question that trains (training/examples/digests.py).

A model sees the sentences that weigh most (summary.py), in their order, as many as there is room for: all of a short
article. Only Korean articles are asked about.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.digesting.article import Article
from shared.digesting.summary import ranked_places
from shared.text.morphemes import Morpheme

MOST_TERMS = 5
MOST_SUMMARY, MOST_EXPLANATION = 600, 200  # characters
INSTRUCTION = "다음 글을 두세 문장으로 요약하세요. 글에 있는 말과 수만 쓰세요."
ON_TERMS = "그리고 용어마다 무엇인지 한 문장으로 설명하세요."


class Question(NamedTuple):
    """`shown`: places of the items that are in `text`; `terms`: those to be explained."""

    text: str
    shown: tuple[int, ...]
    terms: tuple[str, ...]

    @property
    def schema(self) -> str:
        """JSON text."""
        properties: dict[str, Any] = {"summary": {"type": "string", "maxLength": MOST_SUMMARY}}
        if self.terms:
            explained = {term: {"type": "string", "maxLength": MOST_EXPLANATION} for term in self.terms}
            properties["terms"] = _closed(explained)
        return json.dumps(_closed(properties), ensure_ascii=False)


class Written(NamedTuple):
    """What a model says; `explanations`: by term."""

    summary: str
    explanations: dict[str, str]


def question_of(
    article: Article,
    morphemes: Sequence[Sequence[Morpheme]],
    title: Sequence[Morpheme],
    terms: Sequence[str],
    *,
    most_characters: int,
) -> Question:
    """`morphemes`: of each item; `title`: of the title; `most_characters`: of the article's sentences. Terms that are
    in none of the sentences shown are not asked for."""
    shown: list[int] = []
    left = most_characters
    for place in ranked_places(article, morphemes, title):
        if len(article.items[place].text) <= left:
            shown.append(place)
            left -= len(article.items[place].text)
    shown.sort()
    body = "\n".join(article.items[place].text for place in shown)
    asked = tuple(dict.fromkeys(term for term in terms if term in body))[:MOST_TERMS]
    head = [f"{INSTRUCTION} {ON_TERMS}", f"용어: {', '.join(asked)}"] if asked else [INSTRUCTION]
    return Question("\n".join([*head, f"제목: {article.title}", "", body]), tuple(shown), asked)


def answer_of(written: Written) -> str:
    """As the schema has it: what a model is taught to say."""
    said: dict[str, Any] = {"summary": written.summary}
    if written.explanations:
        said["terms"] = written.explanations
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def read_answer(answer: str) -> Written | None:
    """None: it is not of the schema, as when a model that is not held to it says something else."""
    try:
        said = json.loads(answer)
        summary, explanations = said["summary"], said.get("terms", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not isinstance(summary, str) or not isinstance(explanations, dict):
        return None
    said_of = {term: _line(text) for term, text in explanations.items() if isinstance(text, str)}
    return Written("\n".join(filter(None, map(_line, summary.splitlines()))), said_of)


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _line(text: str) -> str:
    return " ".join(text.split())
