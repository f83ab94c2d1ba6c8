"""`make bench-documents`: what is found in documents, on which page, and how fast they are read. Writes
build/bench/documents.json, raw samples with it.

    python -m tests.bench.documents [--quick] [--retrieval] [--documents 50] [--questions 12]

With NUNMAL_EMBEDDING__MODEL by that embedder; `--retrieval` measures finding alone, into build/bench/retrieval.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from shared.settings import load_settings
from shared.text.embedders import embedder_of
from tests.bench.circumstances import circumstances
from tests.bench.documents.citations import cited
from tests.bench.documents.claims import claims_found
from tests.bench.documents.korquad import korquad
from tests.bench.documents.retrieval import Prepared, answered, by_meaning, found, halves, prepared, scaled, weighed
from tests.bench.documents.scans import characters_read
from tests.bench.documents.written import written
from tests.bench.processes import Cores
from workers.ingest.ocr.tesseract import Tesseract

OUT = Path("build/bench/documents.json")
RETRIEVAL_OUT = Path("build/bench/retrieval.json")
SEED = 7
_QUICK = 300  # questions
_PIXELS = (12, 16)
_SHOWN = (
    *("ocr_12px", "ocr_16px", "korquad_hit1", "korquad_hit5"),
    *("false_answer_rate", "answers_from", "citation_page", "ingest_pages_per_s", "retrieval_ms_p95_100k"),
    *("claims_right", "claims_wrong", "written_right"),
)
_OCR_WITHIN_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.documents")
    parser.add_argument("--quick", action="store_true", help="a few questions: does it run?")
    parser.add_argument("--retrieval", action="store_true", help="finding alone: no documents, no scans, no model")
    parser.add_argument("--documents", type=int, default=50, help="generated PDFs of 20 pages")
    parser.add_argument("--questions", type=int, default=12, help="for each of them")
    parser.add_argument("--chunks", type=int, default=100_000, help="among which one is searched")
    parser.add_argument("--pages", type=int, default=4, help="scanned ones, for each font and size")
    parser.add_argument("--written", type=int, default=40, help="questions that the model answers in its own words")
    options = parser.parse_args()
    passages, questions = korquad(load_settings().data_dir)
    if options.quick:
        questions = questions[:_QUICK]
    embedder = embedder_of(load_settings().embedding)
    data = prepared(passages, questions, embedder)
    tuned, reported = halves(len(questions), SEED)
    result = circumstances("tests.bench.documents", Cores.of_machine()) | {
        "seed": SEED,
        "embedder": embedder.name,
        "korquad": {"tuned_on": found(data, tuned), "reported": found(data, reported)},
        "answers": {"tuned_on": answered(data, tuned, SEED), "reported": answered(data, reported, SEED)},
        "scaled": scaled(data, options.chunks, SEED),
    }
    result |= {
        "korquad_hit1": result["korquad"]["reported"]["hit1"],
        "korquad_hit5": result["korquad"]["reported"]["hit5"],
        "false_answer_rate": result["answers"]["reported"]["false_answer_rate"],
        "retrieval_ms_p95_100k": result["scaled"]["retrieval_ms_p95"],
    }
    if embedder.knows_meaning:
        result["weighed"] = weighed(data, tuned)
        for tried in result["weighed"]:
            sys.stdout.write("tuned half: weight {weight}: hit1 {hit1:.4f}, hit5 {hit5:.4f}\n".format(**tried))
        result["by_meaning"] = by_meaning(result["answers"]["tuned_on"], result["answers"]["reported"])
        result["answers_from"] = result["by_meaning"]["answers_from"]
    embedder.close()
    if not options.retrieval:
        result |= _read_and_written(data, options)
    out = RETRIEVAL_OUT if options.retrieval else OUT
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write("".join(f"{name}: {result[name]:.4f}\n" for name in _SHOWN if name in result))


def _read_and_written(data: Prepared, options: argparse.Namespace) -> dict[str, Any]:
    """What needs documents, scans and a model."""
    passages, questions = data.passages, data.asked
    result: dict[str, Any] = {
        "citations": asyncio.run(cited(passages, questions, options.documents, options.questions))
    }
    result["claims"] = claims_found(passages, questions, load_settings().data_dir, SEED)
    result["written"] = asyncio.run(written(data, min(options.written, len(questions)), SEED))
    engine = Tesseract(_OCR_WITHIN_S)
    result["scans"] = [
        asyncio.run(characters_read(engine, passages, pixels, options.pages, SEED)) for pixels in _PIXELS
    ]
    result |= {f"ocr_{read['pixels']}px": read["accuracy"] for read in result["scans"]}
    result |= {
        "citation_page": result["citations"]["citation_page"],
        "ingest_pages_per_s": result["citations"]["ingest_pages_per_s"],
        "claims_right": result["claims"]["korquad"]["right"],
        "claims_wrong": result["claims"]["korquad"]["another_answer"],
        "written_right": result["written"]["written_right"],
    }
    return result


if __name__ == "__main__":
    main()
