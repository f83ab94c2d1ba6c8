"""The model that ships: small enough, whole, and saying through the engine what its card says it says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import jsonschema
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
    files = [path for path in Path(Settings().model_source).rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert {path.suffix for path in files} <= {".json", ".jinja", ".safetensors"}


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


PERSON = {
    "type": "object",
    "properties": {"이름": {"type": "string"}, "나이": {"type": "integer"}},
    "required": ["이름", "나이"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("limit", [24, 128])
async def test_an_answer_held_to_a_schema_is_valid_compact_and_whole_whoever_continues_it(
    model: ServedModel, limit: int
) -> None:
    """Also where the model would write on and on inside a string, as it does for some of these seeds."""
    question = prompt_ids([Message(Role.USER, "한 사람을 지어내서 이름과 나이를 JSON으로 알려 줘.")], model.tokenizer)
    grammar = model.vocabulary.json_grammar(json.dumps(PERSON))
    asked = [Request(f"{seed}", tuple(question), (), seed, 1.0, 0.95, 50, limit, grammar=grammar) for seed in range(12)]

    answers = await asyncio.gather(*(_token_ids(model, request) for request in asked))

    for token_ids, reason in answers:
        text = Detokenizer(model.tokenizer, token_ids).text
        jsonschema.validate(json.loads(text), PERSON)
        assert re.fullmatch(r'\{"이름":"([^"\\]|\\.)*","나이":[-0-9]+\}', text)
        assert reason == "stop"
        assert len(token_ids) <= limit
    resumed = [
        (replace(request, id=f"{request.id}.{cut}", generated=tuple(token_ids[:cut])), token_ids[cut:])
        for request, (token_ids, _) in zip(asked[:4], answers, strict=False)
        for cut in range(1, len(token_ids), 7)
    ]
    continued = await asyncio.gather(*(_token_ids(model, request) for request, _ in resumed))
    assert [token_ids for token_ids, _ in continued] == [rest for _, rest in resumed]


async def _token_ids(model: ServedModel, request: Request) -> tuple[list[int], str | None]:
    token_ids: list[int] = []
    reason = None
    async with aclosing(model.engine.submit(request)) as events:
        async for event in events:
            token_ids += [] if event.token_id is None else [event.token_id]
            reason = event.finish_reason
    return token_ids, reason
