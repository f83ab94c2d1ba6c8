"""`make upstream`: a real server generates, Nunmal asks. `transformers serve` with the reference model, or any server
that has it: `make upstream ARGS='--url http://host:8000/v1'` (vLLM, SGLang, llama.cpp).

Greedy answers must be those of our own engine, from their beginning and from every fourth token.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from contextlib import aclosing
from dataclasses import replace

from shared.chat import Message, Role
from shared.prompting import prompt_ids
from shared.settings import Settings, WorkerSettings
from tests.bench.peers.environments import BUILD, install
from tests.transformers_serve import transformers_serve
from workers.engine.base import Request
from workers.open_model import open_model
from workers.open_upstream import open_upstream
from workers.served_model import ServedModel

_QUESTIONS = ("안녕하세요?", "비 오는 날에는 뭐 하면 좋을까?", "너는 누구야?", "고마워요, 잘 자요.")
_MOST_TOKENS = 24
_PATIENCE_S = 300.0


async def main(url: str | None, model: str) -> int:
    """The exit code."""
    source = Settings().model_source
    async with contextlib.AsyncExitStack() as stack:
        if url is None:
            python = await asyncio.to_thread(install, "transformers_serve")
            served = await stack.enter_async_context(transformers_serve(python, source, BUILD / "upstream.log"))
            url, model = f"{served.address}/v1", source
        differences = await _differences(source, WorkerSettings(upstream_url=url, upstream_model=model, threads=1))
    for difference in differences:
        _say(difference)
    _say(f"{len(differences)} differences")
    return 1 if differences else 0


async def _differences(source: str, settings: WorkerSettings) -> list[str]:
    upstream = await asyncio.to_thread(open_upstream, source, "reference", settings, _PATIENCE_S)
    own = await asyncio.to_thread(open_model, source, "reference", settings)
    _say(upstream.description)
    differences = []
    for question in _QUESTIONS:
        prompt = tuple(prompt_ids([Message(Role.USER, question)], own.tokenizer))
        asked = Request(question, prompt, (), 1, 0.0, 1.0, 0, _MOST_TOKENS)
        expected = await _answer(own, asked)
        if (found := await _answer(upstream, asked)) != expected:
            differences.append(f"{question}: {found!r}, not {expected!r}")
        token_ids = own.tokenizer.encode(expected, add_special_tokens=False)
        for cut in range(1, len(token_ids), 4):
            begun = replace(asked, generated=tuple(token_ids[:cut]))
            if await _answer(upstream, begun) != await _answer(own, begun):
                differences.append(f"{question}: another answer from token {cut} on")
        drawn = await _answer(upstream, replace(asked, temperature=0.9, top_k=40, top_p=0.95, min_p=0.02))
        _say(f"{question}\n  greedy {expected!r}\n  drawn  {drawn!r}")
    await asyncio.gather(upstream.engine.close(), own.engine.close())
    return differences


async def _answer(model: ServedModel, request: Request) -> str:
    token_ids: list[int] = []
    async with asyncio.timeout(120), aclosing(model.engine.submit(request)) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            token_ids += [] if event.token_id is None else [event.token_id]
    return model.tokenizer.decode([*request.generated, *token_ids], skip_special_tokens=True)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=(__doc__ or "").partition("\n")[0])
    _parser.add_argument("--url", help="a server with the reference model, instead of starting one")
    _parser.add_argument("--model", default="", help="its name there; none: the only one")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    _arguments = _parser.parse_args()
    sys.exit(asyncio.run(main(_arguments.url, _arguments.model)))
