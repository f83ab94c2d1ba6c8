"""The model that ships: small enough, whole, and saying through the engine what its card says it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from shared.chat import Message, Role, SamplingParams
from shared.prompting import prompt_ids
from shared.settings import Settings, WorkerSettings
from workers.detokenizer import Detokenizer
from workers.engine.base import Request
from workers.open_model import open_model
from workers.served_model import ServedModel

ROOT = Path(__file__).resolve().parents[2]
SEED = 20260101
MOST_BYTES = 40 * 1000 * 1000

# Another kind of CPU may round a sum differently and, once in hundreds of tokens, draw another word.
MOST_DIFFERENT = 2


@pytest.fixture(scope="module")
def model() -> Iterator[ServedModel]:
    model = open_model(Settings().model_source, "reference", WorkerSettings(threads=1))
    yield model
    asyncio.run(model.engine.close())


def test_the_weights_are_small_and_safe() -> None:
    directory = Path(Settings().model_source)

    assert sum(path.stat().st_size for path in directory.iterdir()) <= MOST_BYTES
    assert {path.suffix for path in directory.iterdir()} <= {".json", ".jinja", ".safetensors"}


@pytest.mark.parametrize("name", ["reference", "own"])
async def test_the_engine_gives_the_answers_of_the_card(model: ServedModel, name: str) -> None:
    rows = json.loads((ROOT / "training" / "prompts" / "answers" / f"{name}.json").read_text(encoding="utf-8"))

    answers = await asyncio.gather(*(_answer(model, row["prompt"]) for row in rows))

    different = [row["prompt"] for row, answer in zip(rows, answers, strict=True) if answer != row["answer"]]
    assert len(rows) == 40
    assert len(different) <= MOST_DIFFERENT, different


async def _answer(model: ServedModel, prompt: str) -> str:
    sampling = model.sampling.resolve(SamplingParams())
    request = Request(
        id=prompt,
        prompt=tuple(prompt_ids([Message(Role.USER, prompt)], model.tokenizer)),
        generated=(),
        seed=SEED,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_new_tokens=sampling.max_new_tokens,
    )
    detokenizer = Detokenizer(model.tokenizer)
    async with aclosing(model.engine.submit(request)) as events:
        async for event in events:
            if event.token_id is not None:
                detokenizer.push(event.token_id)
    detokenizer.finish()
    return detokenizer.text
