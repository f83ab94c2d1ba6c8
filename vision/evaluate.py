"""Ask a model with eyes about pictures it has never seen, and mark what it says, family by family.

| way | the language model is given | the answer is |
|---|---|---|
| end_to_end | the picture | its own sentence |
| listed | the picture and what the scene parser read off it, as text evidence | its own sentence |
| combined | the same, and the executor's results in its thoughts | its own sentence |
| evidence_only | the same; only the program it writes is used | the program run on what the parser read |
| blind | a picture of nothing | its own sentence |
| majority | nothing | the most frequent answer of the family in these questions |

How to run:
    python -m vision.evaluate                         # our own unseen seeds, three splits
    python -m vision.evaluate --data DIR [--blind]    # somebody else's pictures with questions.jsonl
    python -m vision.evaluate --model DIR --scenes 300 --seeds 901 902 903 --out build/vision
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image

from vision.scenes.dataset import SPLITS, make_example, read_questions
from vision.scenes.hearing import heard
from vision.scenes.programs import Program, ProgramError, execute
from vision.scenes.questions import Question
from vision.scenes.scene import SceneObject
from vision.viewer import Viewer

MODEL = Path("workers/reference/model")
WAYS = ("end_to_end", "listed", "combined", "evidence_only", "blind")
_AT_ONCE = 8  # pictures


@dataclass(frozen=True)
class Prediction:
    """One question, and what came of it each way: the short answers, and the sentences they were heard in."""

    id: str
    split: str
    family: str
    hops: int
    question: str
    answer: str
    heard: dict[str, str | None]
    said: dict[str, str]


@dataclass(frozen=True)
class Asked:
    """A picture and the questions about it."""

    picture: Image.Image
    questions: tuple[Question, ...]


def own(seed: int, scenes: int, split: str, size: int) -> Iterator[Asked]:
    """Unseen scenes of ours. Raises: ValueError: an unknown split."""
    for index in range(scenes):
        example = make_example(seed, index, split, size)  # type: ignore[arg-type]  # checked there
        yield Asked(Image.fromarray(example.pixels), tuple(example.questions))


def others(folder: Path) -> Iterator[Asked]:
    """A folder with questions.jsonl. Raises: OSError, KeyError, TypeError, ValueError: it is not in the schema."""
    by_picture: dict[str, list[Question]] = defaultdict(list)
    for question in read_questions(folder):
        by_picture[question.picture].append(question)
    for name, questions in by_picture.items():
        with Image.open(folder / name) as picture:
            yield Asked(picture.convert("RGB"), tuple(questions))


def predict(viewer: Viewer, asked: Sequence[Asked], ways: Sequence[str]) -> list[Prediction]:
    """Answer all questions about some pictures."""
    pixels = viewer.pixels([a.picture for a in asked])
    found = viewer.parse(pixels)
    nothing = torch.zeros_like(pixels)
    pairs = [(number, q) for number, a in enumerate(asked) for q in a.questions]
    texts = [q.question for _, q in pairs]
    places = [number for number, _ in pairs]
    said: dict[str, list[str]] = {}
    programs: list[str | None] = [None] * len(pairs)
    if "end_to_end" in ways:
        said["end_to_end"] = [t.sentence for t in viewer.answer(pixels, places, texts, None)]
    if "listed" in ways:
        said["listed"] = [t.sentence for t in viewer.answer(pixels, places, texts, found)]
    if "combined" in ways or "evidence_only" in ways:
        told = viewer.answer(pixels, places, texts, found, is_guided=True)
        said["combined"] = [t.sentence for t in told]
        programs = [_run(t.program, found[place]) if t.program else None for t, place in zip(told, places, strict=True)]
    if "blind" in ways:
        said["blind"] = [t.sentence for t in viewer.answer(nothing, places, texts, None)]
    predictions = []
    for number, (_, question) in enumerate(pairs):
        answers = {way: heard(sentences[number], question.program) for way, sentences in said.items()}
        if "evidence_only" in ways:
            answers["evidence_only"] = programs[number]
        predictions.append(
            Prediction(
                id=question.id,
                split=question.split,
                family=question.family,
                hops=question.hops,
                question=question.question,
                answer=question.answer,
                heard=answers,
                said={way: sentences[number] for way, sentences in said.items()},
            )
        )
    return predictions


def _run(program: Program, objects: Sequence[SceneObject]) -> str | None:
    try:
        return execute(program, objects).answer
    except ProgramError:
        return None


def share(predictions: Sequence[Prediction], way: str) -> float:
    """How many were right."""
    return sum(p.heard.get(way) == p.answer for p in predictions) / max(1, len(predictions))


def majority(predictions: Sequence[Prediction]) -> float:
    """How many the most frequent answer of each family would get right."""
    families: dict[str, Counter[str]] = defaultdict(Counter)
    for p in predictions:
        families[p.family][p.answer] += 1
    return sum(c.most_common(1)[0][1] for c in families.values()) / max(1, len(predictions))


def table(predictions: Sequence[Prediction], ways: Sequence[str]) -> dict[str, dict[str, float]]:
    """Family -> way -> share of right answers; the whole under `all`."""
    groups: dict[str, list[Prediction]] = {"all": list(predictions)}
    for p in predictions:
        groups.setdefault(p.family, []).append(p)
    return {
        name: {
            "questions": len(rows),
            **{way: round(share(rows, way), 4) for way in ways},
            "majority": round(majority(rows), 4),
        }
        for name, rows in groups.items()
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--data", type=Path, help="a folder of pictures with questions.jsonl")
    parser.add_argument("--blind", action="store_true", help="show nothing instead of the pictures")
    parser.add_argument("--scenes", type=int, default=100, help="of each split and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[901, 902, 903])
    parser.add_argument("--splits", nargs="+", default=[s for s in SPLITS if s != "train"])
    parser.add_argument("--size", type=int, default=128, help="pixels of our own pictures")
    parser.add_argument("--out", type=Path, help="a folder for predictions.jsonl and table.json")
    options = parser.parse_args(arguments)
    ways: tuple[str, ...] = ("blind",) if options.blind else WAYS
    viewer = Viewer.from_folder(options.model)
    if viewer.reader is None:
        ways = tuple(way for way in ways if way in ("end_to_end", "blind"))
    results: dict[str, list[Prediction]] = {}
    if options.data:
        results[options.data.name] = list(predict_all(viewer, others(options.data), ways))
    else:
        for split in options.splits:
            for seed in options.seeds:
                made = own(seed, options.scenes, split, options.size)
                results.setdefault(split, []).extend(predict_all(viewer, made, ways))
    for name, predictions in results.items():
        print(f"{name}: {len(predictions)} questions")
        for family, row in table(predictions, ways).items():
            print(f"  {family:14}", *(f"{key} {value:.3f}" for key, value in row.items() if key != "questions"))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        with (options.out / "predictions.jsonl").open("w", encoding="utf-8") as file:
            for predictions in results.values():
                file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in predictions)
        tables = {name: table(predictions, ways) for name, predictions in results.items()}
        (options.out / "table.json").write_text(json.dumps(tables, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0


def predict_all(viewer: Viewer, asked: Iterator[Asked], ways: Sequence[str]) -> Iterator[Prediction]:
    """Some pictures at once, until all are asked about."""
    part: list[Asked] = []
    for one in asked:
        part.append(one)
        if len(part) == _AT_ONCE:
            yield from predict(viewer, part, ways)
            part = []
    if part:
        yield from predict(viewer, part, ways)


if __name__ == "__main__":
    sys.exit(main())
