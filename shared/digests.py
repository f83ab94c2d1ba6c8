"""Articles and their digests as values, of the form that is published (`schemas`). Nothing here does I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.documents import DocumentKind

MOST_ARTICLES = 100  # of one batch
_MOST_TITLE = 500  # characters


class _Published(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ArticleInput(_Published):
    """One article. `url` is kept and shown, never fetched."""

    content: str = Field(description="Plain text, Markdown or HTML.")
    title: str = Field("", max_length=_MOST_TITLE)
    source_type: Literal["blog", "paper", "news"] | None = None
    url: str | None = Field(None, max_length=2000, description="Kept and shown; it is never fetched.")
    language: Literal["ko", "en"] | None = Field(None, description="Refused if the article is not in it.")
    author: str | None = Field(None, max_length=200)
    publish_date: str | None = Field(None, max_length=100)
    tags: list[str] = Field(default_factory=list, max_length=50)
    views: int | None = Field(None, ge=0, le=2**53)


class MeasuredFeature(_Published):
    """`value` as it was measured, beside what is usual; `effect`: how far it moved the level, above 0 is harder."""

    value: float | None = Field(description="Null where nothing could be measured.")
    usual: float
    effect: float


class DifficultyLevel(_Published):
    score: int = Field(ge=1, le=5)
    label: Literal["beginner", "elementary", "intermediate", "advanced", "expert"]
    features: dict[str, MeasuredFeature] = Field(
        description="technical_terms (of 100 words), concept_density (words that say something, of a sentence), "
        "background (of its words: how much more often they stand in advanced articles), code_complexity "
        "(characters of a line of code)."
    )


class TechnicalTerm(_Published):
    term: str
    explanation: str | None = Field(description="Null where the article explains nothing, and no model did.")
    by: Literal["llm", "extract"] = Field(
        default="extract",
        description="Of the explanation. llm: a language model's words, whose names and numbers are the article's;"
        " extract: the article's own, word for word.",
    )


class Digest(_Published):
    """What is made of an article: keywords, terms and what is needed before are pieces of its text. Who wrote the
    summary and each explanation, a model or the article's author, is always told."""

    summary: str = Field(description="One sentence a line.")
    summary_by: Literal["llm", "extract"] = Field(
        description="extract: sentences of the article, word for word; llm: a language model's, whose names and numbers"
        " are the article's."
    )
    keywords: list[str] = Field(max_length=8)
    difficulty_level: DifficultyLevel
    prerequisites: list[str] = Field(max_length=5)
    technical_terms: list[TechnicalTerm] = Field(max_length=10)
    title: str
    language: Literal["ko", "en"]
    processing_time: float = Field(ge=0, description="Seconds.")

    def taking(self, seconds: float) -> Digest:
        """The same, made in so many."""
        return self.model_copy(update={"processing_time": round(seconds, 4)})


class DigestState(StrEnum):
    """waiting -> reading -> ready | failed; reading -> waiting when its worker is lost."""

    WAITING = "waiting"
    READING = "reading"
    READY = "ready"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (DigestState.READY, DigestState.FAILED)


@dataclass(frozen=True, slots=True)
class DigestJob:
    """As its owner sees it. `given`: what came with the article, without its content."""

    id: str
    user_id: str
    batch_id: str | None
    place: int  # in its batch
    name: str  # its title or file, as far as it is known
    kind: DocumentKind
    given: dict[str, Any]
    size_bytes: int
    state: DigestState
    tag: float  # its start tag in the lane (shared/store/fairness.py)
    attempt: int
    stalled: int
    worker_id: str | None
    error_code: str | None
    error_facts: dict[str, str | int | float]
    digest: Digest | None
    created_at: datetime
    finished_at: datetime | None


def schemas() -> dict[str, Any]:
    """JSON Schema (2020-12) of what goes in and what comes out."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "article": dialect | ArticleInput.model_json_schema(),
        "digest": dialect | Digest.model_json_schema(),
    }


def fingerprint(*parts: bytes | str) -> str:
    """Of an article, so that it is digested once."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8) + data)
    return hashed.hexdigest()
