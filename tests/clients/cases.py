"""What all clients' scripts share: they are told where the service is, run their cases, and print JSON.

A script runs in the environment of its client, so nothing but the standard library is imported here.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

HELLO = "안녕하세요? 오늘 기분이 어때요?"
TALE = "옛날 옛적에 호랑이가"  # raw text, which the reference model goes on with
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["좋음", "나쁨"]}, "score": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["mood", "score"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Service:
    """`url` ends with /v1."""

    url: str
    key: str
    model: str


Case = Callable[[Service], None]


def perform(cases: Sequence[Case]) -> None:
    """For a script called with URL KEY MODEL: prints {case: "" or why it failed} on standard output."""
    service = Service(*sys.argv[1:4])
    outcomes = {}
    for case in cases:
        with contextlib.redirect_stdout(sys.stderr):
            outcomes[case.__name__] = _outcome(case, service)
    sys.stdout.write(json.dumps(outcomes, ensure_ascii=False))


@contextlib.contextmanager
def refused(kind: type[BaseException]) -> Iterator[list[BaseException]]:
    """The block must raise exactly such an error, which the list then holds."""
    caught: list[BaseException] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    assert caught, f"no {kind.__name__} was raised"


def is_mood(said: str) -> bool:
    """It is JSON of SCHEMA, and compact."""
    mood = json.loads(said)
    is_kept = mood["mood"] in ("좋음", "나쁨") and 0 <= mood["score"] <= 9
    return is_kept and said == json.dumps(mood, ensure_ascii=False, separators=(",", ":"))


def is_korean(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)


def _outcome(case: Case, service: Service) -> str:
    try:
        case(service)
    except Exception:
        return traceback.format_exc(limit=-3)
    return ""
