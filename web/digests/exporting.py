"""A digest as a file: JSON of the published form, or Markdown to read."""

from __future__ import annotations

from shared.digests import DigestJob, TechnicalTerm
from web.digests.views import EXPLAINED_BY, LEVELS, WRITTEN_BY, features_of
from web.words import Words


def json_of(job: DigestJob) -> str | None:
    """None: there is no digest yet."""
    return job.digest.model_dump_json(indent=2) if job.digest else None


def markdown_of(job: DigestJob, words: Words) -> str | None:
    """As `json_of`. Every line of the article is one line here, so none can begin something else."""
    digest = job.digest
    if digest is None:
        return None
    level = digest.difficulty_level
    parts = [
        f"# {_line(digest.title)}",
        f"## {words('digests.summary')}",
        "\n".join(f"- {_line(sentence)}" for sentence in digest.summary.split("\n")),
        words(WRITTEN_BY[digest.summary_by]),
        f"## {words('digests.level')}: {level.score}/5 {words(LEVELS[level.label])}",
        "\n".join(f"- {said}" for said in features_of(level, words)),
        f"## {words('digests.keywords')}",
        ", ".join(map(_line, digest.keywords)),
    ]
    if digest.prerequisites:
        parts += [
            f"## {words('digests.prerequisites')}",
            "\n".join(f"- {_line(each)}" for each in digest.prerequisites),
        ]
    if digest.technical_terms:
        parts += [
            f"## {words('digests.terms')}",
            "\n".join(_term(each, words) for each in digest.technical_terms),
        ]
    return "\n\n".join(parts) + "\n"


def _term(term: TechnicalTerm, words: Words) -> str:
    name = f"- **{_line(term.term)}**"
    return f"{name} {_line(term.explanation)} ({words(EXPLAINED_BY[term.by])})" if term.explanation else name


def _line(text: str) -> str:
    return " ".join(text.split())
