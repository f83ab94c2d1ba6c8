"""`make upstream`: a real server generates, Nunmal asks. `transformers serve` with the reference model, or any server
that has it: `make upstream ARGS='--url http://host:8000/v1'` (vLLM, SGLang, llama.cpp).

Greedy answers must be those of our own engine, from their beginning and from every fourth token. transformers.txt
names what `transformers serve` needs beside the environment of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import site
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace

from shared.chat import Message, Role
from shared.prompting import prompt_ids
from shared.settings import Settings, WorkerSettings
from tests.service import ROOT
from workers.engine.base import Request
from workers.open_model import open_model
from workers.open_upstream import open_upstream
from workers.served_model import ServedModel

_BUILD = ROOT / "build" / "upstream"
_LIST = ROOT / "tests" / "upstream" / "transformers.txt"
_QUESTIONS = ("안녕하세요?", "비 오는 날에는 뭐 하면 좋을까?", "너는 누구야?", "고마워요, 잘 자요.")
_MOST_TOKENS = 24
_PATIENCE_S = 300.0


def main(url: str | None, model: str) -> int:
    """The exit code."""
    source = Settings().model_source
    with contextlib.ExitStack() as stack:
        if url is None:
            url, model = stack.enter_context(_transformers_serve(source)), source
        differences = asyncio.run(
            _differences(source, WorkerSettings(upstream_url=url, upstream_model=model, threads=1))
        )
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


@contextlib.contextmanager
def _transformers_serve(source: str) -> Iterator[str]:
    """Its address. It ends with the block."""
    python = _environment()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [python, "-m", "transformers.cli.transformers", "serve", source, "--port", port, "--dtype", "float32"]
    with (_BUILD / "serve.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "--device", "cpu"], stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _environment() -> str:
    """The interpreter of an environment with what the tests' has and what the list names."""
    wanted, installed = _LIST.read_text(), _BUILD / "installed.txt"
    python = str(_BUILD / "venv" / "bin" / "python")
    if not installed.exists() or installed.read_text() != wanted:
        _say("setting up transformers serve")
        venv.create(_BUILD / "venv", with_pip=True, clear=True)
        (own,) = (_BUILD / "venv").glob("lib/python*/site-packages")
        (own / "tests.pth").write_text(f"{site.getsitepackages()[0]}\n")
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-compile"]
        subprocess.run([*pip, "--require-hashes", "--no-deps", "--requirement", str(_LIST)], check=True)
        installed.write_text(wanted)
    return python


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=(__doc__ or "").partition("\n")[0])
    _parser.add_argument("--url", help="a server with the reference model, instead of starting one")
    _parser.add_argument("--model", default="", help="its name there; none: the only one")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    _arguments = _parser.parse_args()
    sys.exit(main(_arguments.url, _arguments.model))
