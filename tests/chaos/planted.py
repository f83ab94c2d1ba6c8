"""`python -m tests.chaos.planted [lost|doubled|orphan TOKEN]`: `nunmal worker` as chaos needs it, which adds

- a pace (paced_engine.py);
- a poison: a question with POISON in it kills the process before its first token;
- with an argument, one planted fault: at the moment the file TOKEN exists, the first worker to remove it loses some
  characters of an answer, doubles some, or never lets go of an answer that is over.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from infra.cli import main
from shared.chat import Generation
from workers.generation import RunningGeneration
from workers.prompt import Prompts
from workers.publisher import AnswerStream

POISON = "☠"
POISONED = 66  # exit code

_FEWEST = 3  # characters that a planted fault touches


def _swallow_poison() -> None:
    build = Prompts.of

    def build_unless_poisoned(prompts: Prompts, claimed: Generation, *others: Any) -> Any:
        if POISON in claimed.question:
            os._exit(POISONED)
        return build(prompts, claimed, *others)

    patch.object(Prompts, "of", build_unless_poisoned).start()


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
    patch("workers.engine.process_engine.MODULE", "tests.chaos.paced_engine").start()
    _swallow_poison()
    if sys.argv[1:]:
        _fault, _token = sys.argv[1:]
        _plant(_fault, functools.partial(_taken, Path(_token)))
    sys.argv[1:] = ["worker"]
    main()
