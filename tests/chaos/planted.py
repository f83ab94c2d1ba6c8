"""`python -m tests.chaos.planted [lost|doubled|orphan TOKEN]`: `nunmal worker` as chaos needs it, which adds

- a pace: a decode step lasts as long as on a busy GPU, without keeping a core from the rest of the house;
- a poison: a question with POISON in it kills the process before its first token;
- with an argument, one planted fault: at the moment the file TOKEN exists, the first worker to remove it loses some
  characters of an answer, doubles some, or never lets go of an answer that is over.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from infra.cli import main
from workers.engine.model_runner import ModelRunner
from workers.generation import RunningGeneration
from workers.prompt import build_prompt
from workers.publisher import AnswerStream

POISON = "☠"
POISONED = 66  # exit code

_STEP_S = 0.04
_FEWEST = 3  # characters that a planted fault touches


def _keep_pace() -> None:
    decode = ModelRunner.decode

    @functools.wraps(decode)
    def paced(*arguments: Any) -> Any:
        end = time.monotonic() + _STEP_S
        logits = decode(*arguments)
        time.sleep(max(0.0, end - time.monotonic()))  # no waiting for anything: the pace of a larger model
        return logits

    patch.object(ModelRunner, "decode", paced).start()


def _swallow_poison() -> None:
    @functools.wraps(build_prompt)
    def build(turns: Any, question: str, *others: Any) -> Any:
        if POISON in question:
            os._exit(POISONED)
        return build_prompt(turns, question, *others)

    patch("workers.generation.build_prompt", build).start()


def _plant(fault: str, is_mine: Callable[[], bool]) -> None:
    append, run = AnswerStream.append, RunningGeneration.run

    def append_wrongly(stream: AnswerStream, text: str) -> None:
        if len(text) >= _FEWEST and is_mine():
            text = text * 2 if fault == "doubled" else ""
        append(stream, text)

    async def run_on(running: RunningGeneration) -> Any:
        ending = await run(running)
        if is_mine():
            await asyncio.Event().wait()
        return ending

    if fault == "orphan":
        patch.object(RunningGeneration, "run", run_on).start()
    else:
        patch.object(AnswerStream, "append", append_wrongly).start()


def _taken(token: Path) -> bool:
    """True for one process, once."""
    try:
        token.unlink()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    _keep_pace()
    _swallow_poison()
    if sys.argv[1:]:
        _fault, _token = sys.argv[1:]
        _plant(_fault, functools.partial(_taken, Path(_token)))
    sys.argv[1:] = ["worker"]
    main()
