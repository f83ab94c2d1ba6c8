"""200 documents through all that a worker does with an article: valid, grounded, and how many a minute a core makes."""

from __future__ import annotations

import random
import re
import resource
from pathlib import Path
from typing import Any

import jsonschema

from shared.digests import Digest, schemas
from shared.documents import DocumentKind
from shared.errors import NunmalError
from shared.text.analyser import Analyser
from tests.bench.digest.articles import collections, rows
from workers.digest.making import make_digest
from workers.ingest.page_reader import PageReader

_LEAST_CHARACTERS = 500  # of a document; shorter ones are lists of links
_MARKS = re.compile(r"[`*_\\]|\]\([^)\s]*\)|\[")
_TAGS = re.compile(r"<[^<>]*>")


def documents(data_dir: Path, count: int, seed: int) -> list[tuple[str, dict[str, str]]]:
    """Drawn from all collections: what each is called, and its row."""
    every = [
        (f"{collection}/{row['path']}", row)
        for collection in collections(data_dir)
        for row in rows(data_dir, collection)
        if len(row["markdown"]) >= _LEAST_CHARACTERS
    ]
    return random.Random(seed).sample(every, count)


async def made(data_dir: Path, count: int, seed: int) -> dict[str, Any]:
    """`grounded_keywords`: of all keywords and terms, looked for in the file without marks of
    Markdown, with tags and without them."""
    validator = jsonschema.Draft202012Validator(schemas()["digest"])
    reader = PageReader(most_pages=500, within_s=60.0)
    analyser = Analyser()
    samples = []
    words = grounded = valid = 0
    before = _cpu_s()
    for name, row in documents(data_dir, count, seed):
        sample: dict[str, Any] = {"document": name}
        samples.append(sample)
        given = {"title": row["title"] or ""}
        try:
            digest = await make_digest(row["markdown"].encode(), DocumentKind.MARKDOWN, given, analyser, reader)
        except NunmalError as error:
            sample["refused"] = error.code
            continue
        said = digest.model_dump(mode="json")
        wrong = [problem.message for problem in validator.iter_errors(said)]
        missing = _missing(digest, f"{row['title']}\n{row['markdown']}")
        words += len(digest.keywords) + len(digest.technical_terms)
        grounded += len(digest.keywords) + len(digest.technical_terms) - len(missing)
        valid += not wrong
        sample |= {"score": digest.difficulty_level.score, "seconds": digest.processing_time}
        sample |= ({"wrong": wrong} if wrong else {}) | ({"missing": missing} if missing else {})
    await analyser.close()
    cpu_s = _cpu_s() - before
    return {
        "documents": count,
        "valid": valid / count,
        "grounded_keywords": grounded / words,
        "keywords_and_terms": words,
        "cpu_s": cpu_s,
        "articles_per_min_per_core": 60 * count / cpu_s,
        "samples": samples,
    }


def _missing(digest: Digest, source: str) -> list[str]:
    whole = f"{_bare(source)}\n{_bare(_TAGS.sub('', source))}"
    said = [*digest.keywords, *(term.term for term in digest.technical_terms)]
    return [word for word in said if _bare(word) not in whole]


def _bare(text: str) -> str:
    return " ".join(_MARKS.sub("", text).split()).casefold()


def _cpu_s() -> float:
    """Of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
