"""`make bench-vision`: what the shipped model sees in pictures it never saw, and what pictures cost the engine. Writes
build/bench/vision.json, and the raw predictions beside it.

    python -m tests.bench.vision [--model DIR] [--scenes 100] [--seeds 901 902 903]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from shared.chat import PictureRef
from shared.settings import WorkerSettings
from tests.bench.circumstances import circumstances
from tests.bench.processes import Cores
from tests.engine_runs import events_of, tokens_of
from vision.evaluate import MODEL, WAYS, Prediction, own, predict_all, share, table
from vision.scenes.dataset import make_example
from vision.viewer import Viewer
from workers.engine.base import Mask, Request
from workers.engine.model_loader import stop_ids
from workers.open_model import open_model
from workers.pictures import ShownPicture
from workers.served_model import ServedModel

OUT = Path("build/bench/vision.json")
SPLITS = ("test", "compositional", "paraphrase")
ROUNDS = 5
AT_ONCE = 16  # requests of a round
NEW_TOKENS = 64
_TEXT_SEED = 5000  # of pictures that are measured for their time


def seen(viewer: Viewer, seeds: Sequence[int], scenes: int) -> dict[str, list[Prediction]]:
    """By split, over all seeds."""
    return {
        split: [p for seed in seeds for p in predict_all(viewer, own(seed, scenes, split, 128), WAYS)]
        for split in SPLITS
    }


def accuracies(predictions: dict[str, list[Prediction]], seeds: Sequence[int]) -> dict[str, Any]:
    """The fields of vision.json that say how much was right."""
    test = predictions["test"]
    whole = table(test, WAYS)
    spread = {way: [round(share([p for p in test if f"-{seed}-" in p.id], way), 4) for seed in seeds] for way in WAYS}
    return {
        **{way: whole["all"][way] for way in WAYS},
        "majority": whole["all"]["majority"],
        "by_family": {family: row for family, row in whole.items() if family != "all"},
        "compositional": table(predictions["compositional"], WAYS)["all"],
        "paraphrase": table(predictions["paraphrase"], WAYS)["all"],
        "by_seed": spread,
    }


async def costs(model: ServedModel, endless: _Endless) -> dict[str, float]:
    """Milliseconds from a kept picture's bytes to its first place in a prompt, and how much slower a mixed batch is."""
    eyes = model.eyes
    if eyes is None:
        raise SystemExit("the model has no eyes")
    shown: list[ShownPicture] = []
    looking: list[float] = []
    for index in range(AT_ONCE * ROUNDS):
        data = io.BytesIO()
        Image.fromarray(make_example(_TEXT_SEED, index, "test", 224).pixels).save(data, "PNG")
        begun = time.perf_counter()
        looked = await eyes.look(f"{index:064d}", data.getvalue())
        looking.append(time.perf_counter() - begun)
        shown.append(ShownPicture(PictureRef(str(index), looked.picture.digest, 224, 224), looked))
    question = model.tokenizer.encode("빨간 공이 몇 개 있나요?", add_special_tokens=False)
    with_picture = [
        [*[eyes.facts.placeholder] * eyes.facts.tokens, *s.looked.notes.token_ids, *question] for s in shown
    ]
    ratios = []
    for number in range(ROUNDS):
        part = range(number * AT_ONCE, (number + 1) * AT_ONCE)
        plain = [_words(question, len(with_picture[i]), i) for i in part]
        text = [_request(f"text-{number}-{i}", ids, None, endless) for i, ids in zip(part, plain, strict=True)]
        mixed = [
            _request(f"mixed-{number}-{i}", with_picture[i], shown[i], endless)
            if i % 2
            else _request(f"mixed-{number}-{i}", _words(question, len(with_picture[i]), -i - 1), None, endless)
            for i in part
        ]
        ratios.append(await _seconds(model, text) / await _seconds(model, mixed))
    return {
        "ms_per_picture": round(statistics.median(looking) * 1e3, 2),
        "mixed_over_text_throughput": round(statistics.median(ratios), 3),
    }


class _Endless:
    """Implements Grammar and GrammarState: an answer never ends by itself, so that all batches do the same work."""

    is_complete = False

    def __init__(self, vocabulary: int, stops: frozenset[int]) -> None:
        self._allowed = np.ones(vocabulary, dtype=np.bool_)
        self._allowed[list(stops)] = False

    def begin(self, generated: Sequence[int]) -> _Endless:
        return self

    def allowed(self) -> Mask:
        return self._allowed

    def settle(self, token_id: int, left: int) -> int:
        return token_id

    def accept(self, token_ids: Sequence[int]) -> None:
        pass


def _words(question: list[int], length: int, number: int) -> list[int]:
    """As many tokens of words, and not the same beginning twice."""
    return [100 + (number * 7919 + place) % 4000 for place in range(length - len(question))] + question


def _request(name: str, prompt: list[int], picture: ShownPicture | None, endless: _Endless) -> Request:
    pictures = (picture.looked.picture,) if picture else ()
    return Request(name, tuple(prompt), (), 0, 1.0, 1.0, 0, NEW_TOKENS, grammar=endless, pictures=pictures)


async def _seconds(model: ServedModel, requests: list[Request]) -> float:
    """Until all requests, begun at once, have their NEW_TOKENS tokens."""
    begun = time.perf_counter()
    answers = await asyncio.gather(*(events_of(model.engine, request) for request in requests))
    taken = time.perf_counter() - begun
    if any(len(tokens_of(answer)) != NEW_TOKENS for answer in answers):
        raise SystemExit("an answer ended early, so these times cannot be compared")
    return taken


async def measure(model: Path) -> dict[str, float]:
    opened = await asyncio.to_thread(open_model, str(model), "bench", WorkerSettings(threads=1, slots=AT_ONCE))
    try:
        config: Any = AutoConfig.from_pretrained(model)
        stops = stop_ids(GenerationConfig.from_pretrained(model), AutoTokenizer.from_pretrained(model))
        return await costs(opened, _Endless(config.text_config.vocab_size, stops))
    finally:
        await opened.engine.close()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", type=Path, default=MODEL)
    arguments.add_argument("--scenes", type=int, default=100, help="of each split and seed")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[901, 902, 903])
    found = arguments.parse_args()
    viewer = Viewer.from_folder(found.model)
    predictions = seen(viewer, found.seeds, found.scenes)
    manifest = json.loads((found.model / "manifest.json").read_text(encoding="utf-8"))
    report = {
        **circumstances("tests.bench.vision", Cores.of_machine()),
        "model": manifest["digest"],
        "trained_on": manifest["trained_on"],
        **accuracies(predictions, found.seeds),
        **asyncio.run(measure(found.model)),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    with OUT.with_name("vision-predictions.jsonl").open("w", encoding="utf-8") as file:
        for part in predictions.values():
            file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in part)
    print(json.dumps({key: report[key] for key in (*WAYS, "majority", "ms_per_picture", "mixed_over_text_throughput")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
