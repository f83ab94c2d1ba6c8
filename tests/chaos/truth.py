"""The undisturbed greedy run: `python -m tests.chaos.truth MODEL TOKENS` answers the questions of standard input.

Both ways JSON: a list of questions, and a list of answers. The engine alone; no web, broker or store.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from shared.chat import Message, Role, SamplingParams
from shared.prompting import prompt_ids
from shared.settings import WorkerSettings
from tests.service import ROOT
from vision.decoder import open_language_model
from workers.detokenizer import Detokenizer
from workers.engine.base import Request
from workers.open_model import open_model
from workers.served_model import ServedModel

_LEAST_MARGIN = 0.02  # of logits in the hundreds; another batch gives another last digit


@dataclass(slots=True)
class _Answer:
    prompt: tuple[int, ...]
    token_ids: list[int] = field(default_factory=list)
    text: str = ""


async def true_answers(model: Path, max_new_tokens: int, questions: list[str]) -> dict[str, str]:
    """Question to answer, from a process of its own; without questions whose answer hangs on a hair."""
    command = (sys.executable, "-m", __name__, str(model), str(max_new_tokens))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
    told, _ = await process.communicate(json.dumps(questions).encode())
    return {str(question): str(answer) for question, answer in json.loads(told).items()}


async def _answer(model: ServedModel, question: str) -> _Answer:
    sampling = model.sampling.resolve(SamplingParams())
    limit = sampling.max_new_tokens
    prompt = tuple(prompt_ids([Message(Role.USER, question)], model.tokenizer))
    request = Request(question, prompt, (), 0, sampling.temperature, sampling.top_p, sampling.top_k, limit)
    detokenizer = Detokenizer(model.tokenizer, stop_text=model.stop_text)
    answer = _Answer(prompt)
    async with aclosing(model.engine.submit(request)) as events:
        async for event in events:
            if event.error:
                raise event.error
            if event.token_id is not None:
                answer.token_ids.append(event.token_id)
                answer.text += detokenizer.push(event.token_id)
    answer.text += detokenizer.finish()
    return answer


def _margin(model: PreTrainedModel, answer: _Answer) -> float:
    """By how much, at least, the model prefers each token to the next best; negative if it is not its choice at all."""
    token_ids = torch.tensor(answer.token_ids)
    with torch.inference_mode():
        logits = model(torch.tensor([[*answer.prompt, *answer.token_ids]])).logits[0, len(answer.prompt) - 1 : -1]
    chosen = logits.gather(1, token_ids[:, None])[:, 0]
    others = logits.scatter(1, token_ids[:, None], -torch.inf).max(dim=1).values
    return float((chosen - others).min())


async def _all(source: str, max_new_tokens: int, questions: list[str]) -> dict[str, str]:
    model = open_model(source, "truth", WorkerSettings(threads=1, max_new_tokens=max_new_tokens))
    answers = await asyncio.gather(*(_answer(model, question) for question in questions))
    await model.engine.close()
    plain = open_language_model(Path(source))
    found = zip(questions, answers, strict=True)
    return {question: answer.text for question, answer in found if _margin(plain, answer) > _LEAST_MARGIN}


if __name__ == "__main__":
    disable_progress_bar()  # type: ignore[no-untyped-call]  # of transformers
    sys.stdout.write(json.dumps(asyncio.run(_all(sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)))))
