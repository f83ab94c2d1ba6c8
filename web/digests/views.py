"""Digests as the templates show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.digests import DifficultyLevel, DigestJob, DigestState
from web.words import Words

LEVELS = {
    "beginner": "digests.beginner",
    "elementary": "digests.elementary",
    "intermediate": "digests.intermediate",
    "advanced": "digests.advanced",
    "expert": "digests.expert",
}
WRITTEN_BY = {"extract": "digests.by_extract", "llm": "digests.by_llm"}
EXPLAINED_BY = {"extract": "digests.term_by_extract", "llm": "digests.term_by_llm"}
_STATES = {DigestState.WAITING: "digests.waiting", DigestState.READING: "digests.reading"}
_FEATURES = {  # as it was measured, and if it could not be
    "technical_terms": ("digests.technical_terms", "digests.technical_terms_unknown"),
    "concept_density": ("digests.concept_density", "digests.concept_density_unknown"),
    "background": ("digests.background", "digests.background_unknown"),
    "code_complexity": ("digests.code_complexity", "digests.code_complexity_unknown"),
}
_MATTERS = 0.02  # of an effect: less is as usual


class Progress(NamedTuple):
    """Of a batch; what failed is done, too."""

    done: int
    failed: int
    total: int


@dataclass(frozen=True, slots=True)
class DigestView:
    """In words. `state`: while it goes on; `reason`: why there is no digest; `features`: a sentence for each. Empty if
    there is nothing to say."""

    job: DigestJob
    state: str
    reason: str
    level: str
    written_by: str
    features: tuple[str, ...]

    @property
    def is_going_on(self) -> bool:
        return not self.job.state.is_final


def digest_views(jobs: Sequence[DigestJob], words: Words) -> list[DigestView]:
    return [digest_view(job, words) for job in jobs]


def digest_view(job: DigestJob, words: Words) -> DigestView:
    level = job.digest.difficulty_level if job.digest else None
    return DigestView(
        job,
        "" if job.state.is_final else words(_STATES[job.state]),
        words.explain_code(job.error_code, job.error_facts) if job.error_code else "",
        words(LEVELS[level.label]) if level else "",
        words(WRITTEN_BY[job.digest.summary_by]) if job.digest else "",
        tuple(features_of(level, words)) if level else (),
    )


def features_of(level: DifficultyLevel, words: Words) -> list[str]:
    """What each measured thing did to the level."""
    said = []
    for name, feature in level.features.items():
        measured, unknown = _FEATURES[name]
        if feature.value is None:
            said.append(words(unknown))
            continue
        effect = words("digests.harder") if feature.effect > 0 else words("digests.easier")
        if abs(feature.effect) < _MATTERS:
            effect = words("digests.as_usual")
        said.append(f"{words(measured, value=_shown(feature.value), usual=_shown(feature.usual))} {effect}")
    return said


def progress_of(jobs: Sequence[DigestJob]) -> Progress:
    states = [job.state for job in jobs]
    return Progress(sum(state.is_final for state in states), states.count(DigestState.FAILED), len(states))


def _shown(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
