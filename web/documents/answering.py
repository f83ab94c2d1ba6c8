"""Questions about one's documents: the sentences that answer best, word for word, each with its page. No HTTP here.

No model writes anything here (writing.py). What is found rests on shared/text/retrieval.py; indexes of the last askers
stay in memory.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared.document_errors import DocumentQuestionInvalid
from shared.documents import MOST_QUESTION_CHARACTERS, Document, DocumentState, Passage, Source
from shared.errors import NotFound
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.embedding import Embedder
from shared.text.extracts import best_run
from shared.text.passages import embedder_name
from shared.text.retrieval import ANSWERS_FROM, Hit, PassageIndex, Question, Vectors
from shared.text.sentences import Span, sentences
from web.documents.question_vectors import QuestionVectors
from web.forms import tidy

MOST_CITATIONS = 3

_Indexed = tuple[str, str]  # a document and its index

_LOOKED_AT = 5  # passages
_WORTH_SHOWING = 0.6  # of what the best citation is worth
_MOST_CACHED = 20_000  # passages of all indexes in memory; 10 KB each


@dataclass(frozen=True, slots=True)
class Citation:
    """`quote` is `text[start:end]` of the page; `before` and `after` are its neighbours in the passage."""

    document_id: str
    name: str
    page: int
    start: int
    end: int
    before: str
    quote: str
    after: str


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that says something about the question, with its text."""

    source: Source
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Without citations: nothing in the documents answers (`documents`: how many were looked at). `passages`: what was
    found, the best first; a model may write from them."""

    question: str
    citations: tuple[Citation, ...]
    documents: int
    passages: tuple[FoundPassage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shelf:
    """One person's passages as they are found."""

    passages: Sequence[Passage]
    texts: dict[tuple[str, int], str]
    index: PassageIndex

    def text(self, passage: Passage) -> str:
        return self.texts[passage.document_id, passage.page]


@dataclass(frozen=True, slots=True, eq=False)
class _Quoted:
    """A passage, the sentences it consists of, and the `run` of them that answers best."""

    passage: Passage
    page_text: str
    spans: Sequence[Span]
    run: range
    worth: float
    is_cited: bool = False

    @property
    def quote(self) -> tuple[int, int]:
        """In the page's text."""
        start, end = self.spans[self.run.start].start, self.spans[self.run.stop - 1].end
        return start, start + len(self.page_text[start:end].rstrip())


class Answering:
    """`answers_from`: the cosine from which a passage answers though it lacks the question's words; None: none does."""

    def __init__(
        self, store: Store, analyser: Analyser, vectors: QuestionVectors, answers_from: float | None = None
    ) -> None:
        self._store = store
        self._analyser = analyser
        self._vectors = vectors
        self._answers_from = answers_from
        self._shelves: OrderedDict[tuple[str, frozenset[_Indexed]], _Shelf] = OrderedDict()

    async def answer(self, user_id: str, text: str, documents: Sequence[str] | None = None) -> Answer:
        """From these documents of this person's, or all of them; from those that are ready.

        Raises NotFound, DocumentQuestionInvalid, MessageInvalid, SearchUnavailable, StoreUnavailable.
        """
        text = tidy(text, MOST_QUESTION_CHARACTERS).strip()
        if not text or len(text) > MOST_QUESTION_CHARACTERS:
            raise DocumentQuestionInvalid(limit=MOST_QUESTION_CHARACTERS)
        known = await self._store.documents.of_user(user_id)
        self._forget_others(user_id, {(each.id, each.index) for each in known})
        if documents is not None:
            if not set(documents) <= {each.id for each in known}:
                raise NotFound
            known = [each for each in known if each.id in documents]
        ready = [each for each in known if each.state is DocumentState.READY]
        if not ready:
            return Answer(text, (), 0)
        shelf = await self._shelf(user_id, ready)
        (stems,) = await self._analyser.stems([text])
        question = Question(text, [stem.text for stem in stems], await self._vectors.of(text))
        hits = await asyncio.to_thread(shelf.index.search, question, _LOOKED_AT)
        if not any(answers(hit, self._answers_from) for hit in hits):
            return Answer(text, (), len(ready))
        names = {document.id: document.name for document in ready}
        quoted = await self._quoted(shelf, hits, question)
        return Answer(
            text,
            tuple(_citation(each, names) for each in quoted if each.is_cited),
            len(ready),
            tuple(_passage(each, names) for each in quoted),
        )

    def forget(self, user_id: str) -> None:
        """What is in memory of this person's documents: one of them was removed, or there is a newer index."""
        for key in [key for key in self._shelves if key[0] == user_id]:
            del self._shelves[key]

    def _forget_others(self, user_id: str, known: set[_Indexed]) -> None:
        """What holds a document that another node has removed, or that has another index now."""
        for key in [key for key in self._shelves if key[0] == user_id and not key[1] <= known]:
            del self._shelves[key]

    async def _quoted(self, shelf: _Shelf, hits: Sequence[Hit], question: Question) -> list[_Quoted]:
        """The best sentences of each passage, in the order of the passages. Those are cited that tell something beside
        the best of all."""
        found: list[_Quoted] = []
        for hit in hits:
            passage = shelf.passages[hit.place]
            whole = shelf.text(passage)
            spans = sentences(whole[passage.start : passage.end])
            spans = [Span(passage.start + start, passage.start + end) for start, end in spans]
            stems = await self._analyser.stems([whole[start:end] for start, end in spans])
            said = [frozenset(stem.text for stem in sentence) for sentence in stems]
            worth, run = best_run(said, lambda run: shelf.index.coverage(question.stems, run))
            if hit.certainty < ANSWERS_FROM and _means_it(hit, self._answers_from):
                worth, run = hit.cosine, range(len(spans))  # its words say nothing about which of them answers
            found.append(_Quoted(passage, whole, spans, run, worth * hit.score))
        least = _WORTH_SHOWING * max(each.worth for each in found)
        best = [each for each in found if each.worth >= least][:MOST_CITATIONS]
        return [replace(each, is_cited=each in best) for each in found]

    async def _shelf(self, user_id: str, documents: Sequence[Document]) -> _Shelf:
        """Documents do not change once they are ready, so their ids and indexes say what is in it."""
        key = (user_id, frozenset((each.id, each.index) for each in documents))
        if key in self._shelves:
            self._shelves.move_to_end(key)
            return self._shelves[key]
        passages = await self._passages(user_id, documents)
        texts = await self._store.documents.contents.texts(user_id, sorted(each.id for each in documents))
        whole = [passage for passage in passages if (passage.document_id, passage.page) in texts]
        shelf = await asyncio.to_thread(_shelved, whole, texts, self._vectors.embedder)
        self._shelves[key] = shelf
        while len(self._shelves) > 1 and sum(len(each.passages) for each in self._shelves.values()) > _MOST_CACHED:
            self._shelves.popitem(last=False)
        return shelf

    async def _passages(self, user_id: str, documents: Sequence[Document]) -> list[Passage]:
        """Of each document those of its index. One that is indexed anew loses its old ones only after it has the new
        ones in use, so whose index has changed while we read is read again."""
        read: dict[_Indexed, list[Passage]] = {}
        indexes = {each.id: each.index for each in documents}
        while missing := sorted(each for each, index in indexes.items() if (each, index) not in read):
            found = await self._store.documents.contents.passages(user_id, missing)
            for document_id in missing:
                read[document_id, indexes[document_id]] = [
                    each for each in found if (each.document_id, each.index) == (document_id, indexes[document_id])
                ]
            known = await self._store.documents.of_user(user_id)
            indexes = {each.id: each.index for each in known if each.id in indexes}
        return [passage for each in sorted(indexes.items()) for passage in read[each]]


def answers(hit: Hit, answers_from: float | None) -> bool:
    """Whether a passage says anything about what was asked, in its words or in others."""
    return hit.certainty >= ANSWERS_FROM or _means_it(hit, answers_from)


def _means_it(hit: Hit, answers_from: float | None) -> bool:
    return answers_from is not None and hit.cosine >= answers_from


def _shelved(passages: Sequence[Passage], texts: dict[tuple[str, int], str], embedder: Embedder) -> _Shelf:
    """Vectors count where all of them are of the embedder that questions have."""
    cut = [texts[each.document_id, each.page][each.start : each.end] for each in passages]
    vectors = None
    if {embedder_name(each.index) for each in passages} == {embedder.name}:
        numbers = np.stack([np.frombuffer(each.vector, np.float16) for each in passages])
        vectors = Vectors.of(embedder, numbers)
    return _Shelf(passages, texts, PassageIndex(cut, [each.stems for each in passages], vectors))


def _citation(quoted: _Quoted, names: dict[str, str]) -> Citation:
    passage, text, spans, run = quoted.passage, quoted.page_text, quoted.spans, quoted.run
    start, end = quoted.quote
    before, after = spans[max(0, run.start - 1) : run.start], spans[run.stop : run.stop + 1]
    return Citation(
        passage.document_id,
        names[passage.document_id],
        passage.page,
        start,
        end,
        "".join(text[span.start : span.end] for span in before).strip(),
        text[start:end],
        "".join(text[span.start : span.end] for span in after).strip(),
    )


def _passage(quoted: _Quoted, names: dict[str, str]) -> FoundPassage:
    passage = quoted.passage
    source = Source(
        passage.document_id,
        names[passage.document_id],
        passage.page,
        passage.start,
        passage.end,
        quoted.quote if quoted.is_cited else None,
    )
    return FoundPassage(source, quoted.page_text[passage.start : passage.end])
