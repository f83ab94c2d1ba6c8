"""What the house's own language model writes for a digest: asked once, held to a schema, waited for so long and no
longer, and checked. What does not come, or does not pass, stays an extract; both are counted.

Whoever makes digests may not read what people ask, so the question lies with the digest, and a web node asks it
(web/digests/relay.py). A worker that goes on for a killed one finds what that one asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.digesting.asking import Question, question_of, read_answer
from shared.digesting.checks import Outcome, Verdict, texts_of, verdict_on
from shared.digesting.digest import with_written
from shared.digests import Digest, DigestJob
from shared.metrics import DIGEST_MODEL_ANSWERS
from shared.settings import IngestSettings
from shared.store import Store
from shared.text.analyser import Analyser
from workers.digest.reading import Reading

_LOOK_EVERY_S = 0.25
_GRACE_S = 3.0  # for the node that asks to say that it was too late


@dataclass(frozen=True, slots=True)
class ModelWriter:
    store: Store
    analyser: Analyser
    settings: IngestSettings

    async def written(self, job: DigestJob, reading: Reading, extracted: Digest) -> Digest:
        """The digest with what the model wrote, where that may be shown. Raises StoreUnavailable, SearchUnavailable."""
        if reading.article.language != "ko":
            return extracted
        question = self._question(reading, extracted)
        outcome, answer = await self._answer(job, question)
        written = read_answer(answer) if answer is not None else None
        if written is None:
            outcome = Outcome.FORM if answer is not None else outcome
            _count(Verdict(outcome, dict.fromkeys(question.terms, outcome)))
            return extracted
        morphemes = await self.analyser.morphemes(texts_of(written, question))
        verdict = await asyncio.to_thread(verdict_on, written, question, reading.article, morphemes)
        _count(verdict)
        return with_written(extracted, written, verdict)

    def _question(self, reading: Reading, extracted: Digest) -> Question:
        return question_of(
            *(reading.article, reading.morphemes, reading.title, [each.term for each in extracted.technical_terms]),
            most_characters=self.settings.digest_model_characters,
        )

    async def _answer(self, job: DigestJob, question: Question) -> tuple[Outcome, str | None]:
        within_s = self.settings.digest_model_timeout_s
        if not await self.store.digests.ask(job, question.text, question.schema, self.settings.digest_model, within_s):
            return Outcome.FAILED, None  # somebody else has it now, or nobody: what is made here is not kept
        try:
            async with asyncio.timeout(within_s + _GRACE_S):
                return await self._answered(job)
        except TimeoutError:
            return Outcome.LATE, None

    async def _answered(self, job: DigestJob) -> tuple[Outcome, str | None]:
        while True:
            if found := await self.store.digests.answer_of(job):
                return Outcome(found[0]), found[1]
            await asyncio.sleep(_LOOK_EVERY_S)


def _count(verdict: Verdict) -> None:
    DIGEST_MODEL_ANSWERS.labels("summary", verdict.summary).inc()
    for outcome in verdict.explanations.values():
        DIGEST_MODEL_ANSWERS.labels("explanation", outcome).inc()
