"""How a peer is spoken to: a line of JSON on standard input, a line of JSON on standard output.

The first line it writes says that its model is loaded. Asked `{"prompts": [[id, ...], ...], "new": n}` it answers all
of them at once, greedily, with exactly n tokens each, and tells `{"seconds": s, "answers": [[id, ...], ...]}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Ids = list[list[int]]


def questions() -> tuple[Iterator[dict[str, Any]], Callable[[dict[str, Any]], None]]:
    """What is asked, and how to answer. Whatever libraries print goes to standard error from now on."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        told.write(json.dumps(message) + "\n")
        told.flush()

    return (json.loads(line) for line in sys.stdin), tell


def timed(answer: Callable[[Ids, int], Ids], question: dict[str, Any]) -> dict[str, Any]:
    """Raises RuntimeError if an answer has another length than was asked for."""
    begun = time.perf_counter()
    answers = answer(question["prompts"], question["new"])
    seconds = time.perf_counter() - begun
    if any(len(ids) != question["new"] for ids in answers):
        raise RuntimeError("an answer ended early")
    return {"seconds": seconds, "answers": answers}
