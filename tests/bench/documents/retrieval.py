"""How often the right passage is found, and how often an answer is given where there is none."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shared.text.embedding import Embedder
from shared.text.morphemes import stems
from shared.text.retrieval import ANSWERS_FROM, PassageIndex, Question, Vectors
from tests.bench.documents.korquad import Question as Asked
from tests.bench.figures import percentile

_GROUP = 20  # passages of one person's documents, where nothing should be answered about others'
_PER_GROUP = 30  # questions
_TIMED = 300  # questions
_AT_ONCE = 64  # passages
_MORE_FALSE_ANSWERS = 0.005
_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Passages and questions with their stems and vectors, taken once."""

    passages: Sequence[str]
    passage_stems: Sequence[Sequence[str]]
    vectors: Vectors  # of the passages
    asked: Sequence[Asked]
    questions: Sequence[Question]

    def index(self, which: Sequence[int] | None = None) -> PassageIndex:
        """Of these passages, or of all."""
        which = range(len(self.passages)) if which is None else which
        return PassageIndex(
            [self.passages[each] for each in which],
            [self.passage_stems[each] for each in which],
            self.vectors._replace(numbers=self.vectors.numbers[list(which)]),
        )


def prepared(passages: Sequence[str], asked: Sequence[Asked], embedder: Embedder) -> Prepared:
    """Takes minutes for KorQuAD."""
    questions = [
        Question(each.text, [stem.text for stem in stems(each.text)], embedder.embed_query(each.text)) for each in asked
    ]
    passage_stems = [[stem.text for stem in stems(passage)] for passage in passages]
    numbers = np.concatenate(
        [embedder.embed_documents(passages[at : at + _AT_ONCE]) for at in range(0, len(passages), _AT_ONCE)]
    )
    return Prepared(passages, passage_stems, Vectors.of(embedder, numbers.astype(np.float16)), asked, questions)


def halves(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Of the questions: those that weights were tuned on, and those that are reported."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order[: count // 2], order[count // 2 :]


def found(data: Prepared, which: Sequence[int]) -> dict[str, Any]:
    """Hits of these questions among all passages. Equal scores count by their order, as people see them."""
    index = data.index()
    places, times = [], []
    for number in which:
        begun = time.perf_counter()
        hits = index.search(data.questions[number], 5)
        times.append(time.perf_counter() - begun)
        right = data.asked[number].passage
        places.append(next((at for at, hit in enumerate(hits) if hit.place == right), -1))
    return {
        "questions": len(places),
        "hit1": sum(place == 0 for place in places) / len(places),
        "hit5": sum(place >= 0 for place in places) / len(places),
        "retrieval_ms_p95": 1000 * percentile(times, 95),
        "places": places,
    }


def weighed(data: Prepared, which: Sequence[int]) -> list[dict[str, float]]:
    """Hits of these questions by what the vectors weigh: to choose it."""
    tried = []
    for weight in _WEIGHTS:
        hits = found(replace(data, vectors=data.vectors._replace(weight=weight)), which)
        tried.append({"weight": weight, "hit1": hits["hit1"], "hit5": hits["hit5"]})
    return tried


def scaled(data: Prepared, chunks: int, seed: int) -> dict[str, Any]:
    """How long one search takes among `chunks`, each made of halves of two passages."""
    chance = random.Random(seed)
    texts, stems_of, owners = [], [], []
    for _ in range(chunks):
        one, other = chance.randrange(len(data.passages)), chance.randrange(len(data.passages))
        text, more = data.passages[one], data.passages[other]
        texts.append(text[: len(text) // 2] + more[len(more) // 2 :])
        found, rest = data.passage_stems[one], data.passage_stems[other]
        stems_of.append([*found[: len(found) // 2], *rest[len(rest) // 2 :]])
        owners.append(one)
    begun = time.monotonic()
    index = PassageIndex(texts, stems_of, data.vectors._replace(numbers=data.vectors.numbers[owners]))
    built_s = time.monotonic() - begun
    times = []
    for question in chance.sample(list(data.questions), min(_TIMED, len(data.questions))):
        begun = time.perf_counter()
        index.search(question, 5)
        times.append(time.perf_counter() - begun)
    return {"chunks": chunks, "built_s": built_s, "times": times, "retrieval_ms_p95": 1000 * percentile(times, 95)}


def answered(data: Prepared, which: Sequence[int], seed: int) -> dict[str, Any]:
    """Groups of 20 neighbouring passages, each asked about itself and about another one."""
    chance = random.Random(seed)
    of_passage: dict[int, list[int]] = {}
    for number in which:
        of_passage.setdefault(data.asked[number].passage, []).append(number)
    groups = [range(at, at + _GROUP) for at in range(0, len(data.passages) - _GROUP + 1, _GROUP)]
    refused: list[tuple[float, float]] = []
    wrong: list[tuple[float, float]] = []
    for at, group in enumerate(groups):
        index = data.index(group)
        other = groups[(at + len(groups) // 2) % len(groups)]
        for asked_of, kept in ((group, refused), (other, wrong)):
            pool = [number for passage in asked_of for number in of_passage.get(passage, ())]
            for number in chance.sample(pool, min(_PER_GROUP, len(pool))):
                hits = index.search(data.questions[number], 5)
                kept.append((max(hit.certainty for hit in hits), max(hit.cosine for hit in hits)))
    return {
        "threshold": ANSWERS_FROM,
        "questions_of_others": len(wrong),
        "false_answer_rate": _answered(wrong) / len(wrong),
        "questions_of_its_own": len(refused),
        "false_refusal_rate": 1 - _answered(refused) / len(refused),
        "of_others": wrong,  # certainty and cosine of the best
        "of_its_own": refused,
    }


def by_meaning(tuned: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    """The lowest cosine from which a passage may answer though it lacks the question's words, if one more of 200
    questions about others is answered for it: chosen on one half, told of the other."""
    allowed = tuned["false_answer_rate"] + _MORE_FALSE_ANSWERS
    enough = (
        cosine
        for cosine in sorted({cosine for _, cosine in tuned["of_others"]})
        if _answered(tuned["of_others"], cosine) / len(tuned["of_others"]) <= allowed
    )
    answers_from = next(enough, 1.0)
    return {
        "answers_from": answers_from,
        "false_answer_rate": _answered(reported["of_others"], answers_from) / len(reported["of_others"]),
        "false_refusal_rate": 1 - _answered(reported["of_its_own"], answers_from) / len(reported["of_its_own"]),
    }


def _answered(found: Sequence[tuple[float, float]], answers_from: float = 2.0) -> int:
    return sum(certainty >= ANSWERS_FROM or cosine >= answers_from for certainty, cosine in found)
