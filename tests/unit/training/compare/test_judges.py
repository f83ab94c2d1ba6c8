"""A judge who favours a place decides nothing; one who reads does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConfigError
from training.compare.intervals import interval
from training.compare.judges import ServerJudge, Verdict, majority, win_rate
from training.compare.recipe import JudgeServer


class Scripted:
    name = "scripted"

    def __init__(self, decide: Callable[[str, str], Verdict]) -> None:
        self._decide = decide
        self.asked: list[tuple[str, str]] = []

    def prefers(self, question: str, first: str, second: str) -> Verdict:
        self.asked.append((first, second))
        return self._decide(first, second)


@pytest.mark.parametrize("favoured", ["first", "second", "tie"])
def test_a_judge_who_favours_a_place_gives_ties(favoured: Verdict) -> None:
    judge = Scripted(lambda first, second: favoured)

    assert majority(judge, "질문", "가", "나", votes=3) == "tie"
    assert judge.asked == [("가", "나"), ("나", "가")] * 3


def test_a_judge_who_reads_decides_in_both_orders() -> None:
    judge = Scripted(lambda first, second: "first" if len(first) > len(second) else "second")

    assert majority(judge, "질문", "긴 답", "답", votes=1) == "first"
    assert majority(judge, "질문", "답", "긴 답", votes=1) == "second"
    assert (
        interval(win_rate(judge, ["?"] * 3, ["긴 답", "답", "같다"], ["답", "긴 답", "같다"], 1), 1, 100).value == 0.5
    )


def test_the_same_answer_needs_no_judge() -> None:
    judge = Scripted(lambda first, second: "first")

    assert majority(judge, "질문", "같다", "같다", votes=3) == "tie"
    assert judge.asked == []


@pytest.fixture
def server() -> Iterator[dict[str, Any]]:
    """Answers `said` with chat completions, and keeps what it was asked."""
    state: dict[str, Any] = {"said": "", "asked": []}

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state["asked"].append((self.path, self.headers.get("Authorization"), content))
            body = json.dumps({"choices": [{"message": {"content": state["said"]}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    house = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=house.serve_forever)
    thread.start()
    state["url"] = f"http://127.0.0.1:{house.server_port}/v1"
    yield state
    house.shutdown()
    thread.join()
    house.server_close()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("답1이 더 구체적이에요.\n판정: 1", "first"),
        ("판정: 1이라고 하려다가\n**판정: 2**", "second"),
        ("판정：0", "tie"),
        ("잘 모르겠어요", "tie"),
    ],
)
def test_a_server_is_asked_and_its_last_verdict_counts(
    said: str, verdict: Verdict, server: dict[str, Any], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    server["said"] = said
    judge = ServerJudge(JudgeServer(url=server["url"], model="judge", key_file=key))

    assert judge.prefers("어디서 신청해요?", "{주민센터}요", "몰라요") == verdict
    path, authorization, content = server["asked"][0]
    assert (path, authorization, content["model"]) == ("/v1/chat/completions", "Bearer secret", "judge")
    assert "<답1>\n{주민센터}요\n</답1>" in content["messages"][0]["content"]
    judge.close()


def test_a_server_that_is_away_ends_the_comparison_with_a_sentence() -> None:
    judge = ServerJudge(JudgeServer(url="http://127.0.0.1:9/v1", model="judge", timeout_s=2))

    with pytest.raises(ConfigError, match=r"judge: http://127\.0\.0\.1:9/v1/chat/completions cannot be asked"):
        judge.prefers("?", "가", "나")
    judge.close()
