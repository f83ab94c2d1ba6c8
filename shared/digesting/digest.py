"""An article and its morphemes become a digest. Pure: the same article gives the same digest, but for the time."""

from __future__ import annotations

from collections.abc import Sequence

from shared.digesting.article import Article
from shared.digesting.asking import Written
from shared.digesting.checks import Outcome, Verdict
from shared.digesting.difficulty import FEATURES, Calibration, difficulty_of, features_of
from shared.digesting.summary import summary_places
from shared.digesting.terms import terms_of
from shared.digests import DifficultyLevel, Digest, MeasuredFeature, TechnicalTerm
from shared.text.morphemes import Morpheme
from shared.text.sentences import sentences

_DIGITS = 4


def digest_of(
    article: Article,
    morphemes: Sequence[Sequence[Morpheme]],
    title: Sequence[Morpheme],
    by: Calibration,
    *,
    seconds: float,
) -> Digest:
    """`morphemes`: of each item; `title`: of the title; `seconds`: that it took so far."""
    places = summary_places(article, morphemes, title)
    terms = terms_of(article, morphemes, title)
    level = difficulty_of(features_of(article, morphemes, by.words), by)
    features = {
        name: MeasuredFeature(
            value=None if value is None else round(value, _DIGITS),
            usual=round(by.usual[name], _DIGITS),
            effect=round(level.effects[name], _DIGITS),
        )
        for name, value in zip(FEATURES, level.features, strict=True)
    }
    return Digest.model_validate(
        {
            "summary": "\n".join(article.items[place].text for place in places),
            "summary_by": "extract",
            "keywords": list(terms.keywords),
            "difficulty_level": DifficultyLevel.model_validate(
                {"score": level.score, "label": level.label, "features": features}
            ),
            "prerequisites": list(terms.prerequisites),
            "technical_terms": [TechnicalTerm(term=each.text, explanation=each.explanation) for each in terms.terms],
            "title": article.title,
            "language": article.language,
            "processing_time": round(seconds, _DIGITS),
        }
    )


def with_written(digest: Digest, written: Written, verdict: Verdict) -> Digest:
    """With what a model wrote in place of the extracts, where that passed."""
    changes: dict[str, object] = {}
    if verdict.summary is Outcome.USED:
        spans = sentences(written.summary)
        lines = [" ".join(written.summary[span.start : span.end].split()) for span in spans]
        changes = {"summary": "\n".join(lines), "summary_by": "llm"}
    terms = [
        TechnicalTerm(term=each.term, explanation=written.explanations[each.term], by="llm")
        if verdict.explanations.get(each.term) is Outcome.USED
        else each
        for each in digest.technical_terms
    ]
    return digest.model_copy(update=changes | {"technical_terms": terms})
