"""`llm`, the command line, with an entry in its extra-openai-models.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients.cases import HELLO, SCHEMA, TALE, Service, is_korean, is_mood, perform

_MODELS = """\
- model_id: nunmal
  model_name: {model}
  api_base: {url}
  api_key_name: nunmal
  supports_schema: true
- model_id: nunmal-text
  model_name: {model}
  api_base: {url}
  api_key_name: nunmal
  completion: true
"""


class Llm:
    """The command with a home of its own."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "LLM_USER_PATH": str(home)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("llm"))
        return subprocess.run(
            [program, *arguments], env=self._environment, capture_output=True, text=True, timeout=60, input=""
        )

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n")

    def last(self) -> Any:
        """What it wrote in its log about the last answer."""
        return json.loads(self("logs", "-n", "1", "--json"))[0]


@contextmanager
def _llm(service: Service, key: str = "") -> Iterator[Llm]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "extra-openai-models.yaml").write_text(_MODELS.format(model=service.model, url=service.url))
        (home / "keys.json").write_text(json.dumps({"nunmal": key or service.key}))
        yield Llm(home)


def the_model_is_listed(service: Service) -> None:
    with _llm(service) as llm:
        assert "nunmal" in llm("models")


def a_stream_says_what_a_whole_answer_says_and_both_log_their_usage(service: Service) -> None:
    with _llm(service) as llm:
        streamed = llm("-m", "nunmal", "-o", "seed", "11", HELLO)
        first = llm.last()
        whole = llm("-m", "nunmal", "-o", "seed", "11", "--no-stream", HELLO)
        second = llm.last()

    assert streamed
    assert streamed == whole
    assert first["output_tokens"] == second["output_tokens"] > 1
    assert first["input_tokens"] == second["input_tokens"] > 5


def the_same_seed_gives_the_same_words(service: Service) -> None:
    with _llm(service) as llm:
        options = ("-m", "nunmal", "-o", "temperature", "1.5", "-o", "seed")
        said = [llm(*options, seed, HELLO) for seed in ("5", "5", "6", "7")]

    assert said[0] == said[1]
    assert len(set(said)) > 1


def an_answer_ends_before_a_stop_text(service: Service) -> None:
    with _llm(service) as llm:
        whole = llm("-m", "nunmal", "-o", "seed", "3", HELLO)
        stop = whole[len(whole) // 2 :][:3]
        cut = llm("-m", "nunmal", "-o", "seed", "3", "-o", "stop", stop, HELLO)

    assert cut == whole.partition(stop)[0]


def a_schema_is_kept(service: Service) -> None:
    with _llm(service) as llm:
        assert is_mood(llm("-m", "nunmal", "--schema", json.dumps(SCHEMA), "--no-stream", HELLO))


def a_conversation_goes_on(service: Service) -> None:
    with _llm(service) as llm:
        llm("-m", "nunmal", "-s", "짧게 답하세요.", HELLO)
        before = llm.last()
        assert llm("-c", "왜요?")
        after = llm.last()

    assert after["conversation_id"] == before["conversation_id"]
    assert after["input_tokens"] > before["input_tokens"]


def raw_text_is_continued(service: Service) -> None:
    with _llm(service) as llm:
        assert llm("-m", "nunmal-text", "-o", "max_tokens", "8", TALE)


def errors_are_told(service: Service) -> None:
    with _llm(service, key="sk-nunmal-" + "x" * 48) as llm:
        stranger = llm.run("-m", "nunmal", HELLO)
    with _llm(service) as llm:
        excess = llm.run("-m", "nunmal", "-o", "max_tokens", "0", HELLO)

    for done in (stranger, excess):
        assert done.returncode == 1
        assert is_korean(done.stderr), done.stderr


if __name__ == "__main__":
    perform(
        (
            the_model_is_listed,
            a_stream_says_what_a_whole_answer_says_and_both_log_their_usage,
            the_same_seed_gives_the_same_words,
            an_answer_ends_before_a_stop_text,
            a_schema_is_kept,
            a_conversation_goes_on,
            raw_text_is_continued,
            errors_are_told,
        )
    )
