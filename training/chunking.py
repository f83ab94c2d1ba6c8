"""Compare strategies of chunking: how many chunks, how long, and whether what was asked is found and quoted.

Every strategy cuts the same documents, its chunks are indexed and searched as the service does it
(shared/text/retrieval.py), and the best one's sentences are quoted as the service quotes them. So only the cutting
differs. Two collections:

- korquad: each article of KorQuAD 1.0's development set as one document under its title, and its questions. A chunk is
  right if it lies in that article and holds the whole answer, where it stands.
- docs: Markdown documents of NUNMAL_DATA_DIR/docs, a few of each collection. Nobody has asked about them, so a question
  is every third word of a sentence drawn by a seed, and a chunk is right if it holds all of that sentence. That is
  easier than what people ask; it tells what a cut costs, not how well is understood.

Not covered: other weights of the ranking for other chunks, and answers that a model writes.

How to run (writes chunking.json, .md and .png):
    python -m training.evaluate chunking --out build/chunking
    python -m training.evaluate chunking --questions 100 --documents 2 --limits 500      # does it run?
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.settings import load_settings
from shared.text.chunking.base import Chunk, Chunker
from shared.text.chunking.fixed import FixedChunker
from shared.text.chunking.markdown_header import MarkdownHeaderChunker
from shared.text.chunking.recursive import RecursiveChunker
from shared.text.chunking.semantic import SemanticChunker
from shared.text.embedding import HashedNgrams
from shared.text.extracts import best_run
from shared.text.morphemes import stems
from shared.text.passages import found_by
from shared.text.retrieval import PassageIndex, Question, Vectors
from shared.text.sentences import sentences
from training.chunking_plot import draw

_EMBEDDER = HashedNgrams()
STRATEGIES: dict[str, Callable[[int], Chunker]] = {
    "recursive": RecursiveChunker,
    "semantic": lambda limit: SemanticChunker(limit, _EMBEDDER),
    "fixed": lambda limit: FixedChunker(limit, overlap=limit // 5),
    "markdown header": MarkdownHeaderChunker,
}
LIMITS = (250, 500, 1000)  # characters

_LOOKED_AT = 5  # chunks
_LENGTHS = range(40, 200)  # characters of a sentence that is asked about
_FEWEST_WORDS = 8
_LONGEST = 30_000  # characters of a document


class Asked(NamedTuple):
    """`texts[document][start:end]` answers it."""

    text: str
    document: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Collection:
    name: str
    texts: Sequence[str]
    asked: Sequence[Asked]


@dataclass(frozen=True, slots=True)
class Measured:
    """Lengths in characters. `hit1`, `hit5`: a right chunk first, or among the first five. `contained`: the quoted
    sentences hold the answer, letter for letter. `f1`: of their characters and the answer's (KorQuAD's measure)."""

    collection: str
    strategy: str
    limit: int
    chunks: int
    mean_length: float
    longest: int
    hit1: float
    hit5: float
    contained: float
    f1: float


def korquad(data_dir: Path, questions: int, chance: random.Random) -> Collection:
    """Articles with all of their paragraphs, under their titles."""
    file = data_dir / "eval" / "korquad1_dev" / "KorQuAD_v1.0_dev.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    articles: dict[str, dict[str, int]] = {}  # title -> paragraph -> where it begins
    texts: dict[str, str] = {}
    asked = []
    for row in rows:
        title, paragraphs = row["title"], articles.setdefault(row["title"], {})
        if row["context"] not in paragraphs:
            before = texts.get(title, f"# {title}") + "\n\n"
            paragraphs[row["context"]] = len(before)
            texts[title] = before + row["context"]
        begin, document = paragraphs[row["context"]], list(articles).index(title)
        for question in row["qas"]:
            answer = question["answers"][0]
            start = begin + answer["answer_start"]
            asked.append(Asked(question["question"], document, start, start + len(answer["text"])))
    return Collection("korquad", list(texts.values()), chance.sample(asked, min(questions, len(asked))))


def docs(data_dir: Path, questions: int, per_collection: int, chance: random.Random) -> Collection:
    """`per_collection` documents of each, drawn by `chance`."""
    texts: list[str] = []
    for file in sorted((data_dir / "docs").glob("*/docs.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            found = [text for text in (json.loads(line)["markdown"] for line in lines) if len(text) <= _LONGEST]
        texts += chance.sample(found, min(per_collection, len(found)))
    pool = [each for number, text in enumerate(texts) for each in _worth_asking(number, text)]
    return Collection("docs", texts, chance.sample(pool, min(questions, len(pool))))


def measured(collection: Collection, strategy: str, limit: int) -> Measured:
    """Takes a minute for a thousand questions about a million characters."""
    chunker = STRATEGIES[strategy](limit)
    cut = [(number, chunk) for number, text in enumerate(collection.texts) for chunk in chunker.split(text)]
    texts = [collection.texts[number][chunk.start : chunk.end] for number, chunk in cut]
    finds = [found_by(collection.texts[number], chunk) for number, chunk in cut]
    vectors = Vectors.of(_EMBEDDER, _EMBEDDER.embed_documents(finds).astype(np.float16))
    index = PassageIndex(texts, [_stems(each) for each in finds], vectors)
    first = among = contained = f1 = 0.0
    for asked in collection.asked:
        question = Question(asked.text, _stems(asked.text), _EMBEDDER.embed_query(asked.text))
        hits = index.search(question, _LOOKED_AT)
        right = [_holds(*cut[hit.place], asked) for hit in hits]
        first += right[0]
        among += any(right)
        answer = collection.texts[asked.document][asked.start : asked.end]
        quote = _quoted(texts[hits[0].place], functools.partial(index.coverage, question.stems))
        contained += answer in quote
        f1 += character_f1(quote, answer)
    lengths, count = [len(text) for text in texts], len(collection.asked)
    shares = (round(total / count, 4) for total in (first, among, contained, f1))
    mean = round(statistics.fmean(lengths), 1)
    return Measured(collection.name, strategy, limit, len(texts), mean, max(lengths), *shares)


def character_f1(said: str, answer: str) -> float:
    """White space aside; 0 if they share nothing."""
    one, other = (Counter("".join(text.split())) for text in (said, answer))
    shared = (one & other).total()
    return 2 * shared / (one.total() + other.total()) if shared else 0.0


def table(rows: Sequence[Measured]) -> str:
    """In Markdown; what is best in a collection at one limit stands out."""
    lines = [
        "| collection | limit | strategy | chunks | mean, longest | hit@1 | hit@5 | answer quoted | F1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rivals = [each for each in rows if (each.collection, each.limit) == (row.collection, row.limit)]
        shares = []
        for name in ("hit1", "hit5", "contained", "f1"):
            value = getattr(row, name)
            is_best = value == max(getattr(each, name) for each in rivals)
            shares.append(f"**{value:.3f}**" if is_best else f"{value:.3f}")
        lengths = f"{row.mean_length:.0f}, {row.longest}"
        lines.append(
            f"| {row.collection} | {row.limit} | {row.strategy} | {row.chunks} | {lengths} | {' | '.join(shares)} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Ends the process with 2 and a sentence where the data is not."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate chunking", description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("build/chunking"))
    parser.add_argument("--questions", type=int, default=1000, help="of each collection")
    parser.add_argument("--documents", type=int, default=8, help="of each collection of docs")
    parser.add_argument("--limits", type=int, nargs="+", default=LIMITS, help="characters of a chunk")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    data_dir = options.data_dir or load_settings().data_dir
    chance = random.Random(options.seed)
    try:
        collections = (
            korquad(data_dir, options.questions, chance),
            docs(data_dir, options.questions, options.documents, chance),
        )
    except FileNotFoundError as error:
        parser.error(f"{error.filename} is missing: NUNMAL_DATA_DIR or --data-dir must name the training data")
    rows = []
    for collection in collections:
        for limit in options.limits:
            for strategy in STRATEGIES:
                rows.append(measured(collection, strategy, limit))
                sys.stdout.write(f"{rows[-1]}\n")
                sys.stdout.flush()
    _write(options.out, rows, {"seed": options.seed, "questions": {each.name: len(each.asked) for each in collections}})


def _write(directory: Path, rows: Sequence[Measured], facts: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    told = facts | {"rows": [asdict(row) for row in rows]}
    (directory / "chunking.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (directory / "chunking.md").write_text(table(rows), encoding="utf-8")
    draw([asdict(row) for row in rows], directory / "chunking.png")


def _worth_asking(document: int, text: str) -> Iterator[Asked]:
    """Its sentences in Korean, outside code."""
    is_code = False
    for start, end in sentences(text):
        said = text[start:end]
        has_fence = "```" in said
        if not is_code and not has_fence and _is_prose(said.strip()):
            begin = start + len(said) - len(said.lstrip())
            yield Asked(" ".join(said.split()[::3]), document, begin, begin + len(said.strip()))
        is_code ^= said.count("```") % 2 == 1


def _is_prose(sentence: str) -> bool:
    letters = sum("가" <= letter <= "힣" for letter in sentence)
    return len(sentence) in _LENGTHS and 2 * letters > len(sentence) and len(sentence.split()) >= _FEWEST_WORDS


def _stems(text: str) -> list[str]:
    return [stem.text for stem in stems(text)]


def _holds(document: int, chunk: Chunk, asked: Asked) -> bool:
    return document == asked.document and chunk.start <= asked.start and asked.end <= chunk.end


def _quoted(passage: str, coverage: Callable[[frozenset[str]], float]) -> str:
    spans = sentences(passage)
    run = best_run([frozenset(_stems(passage[start:end])) for start, end in spans], coverage).sentences
    return passage[spans[run.start].start : spans[run.stop - 1].end]
