"""Drives Nunmal from outside, as an operator and as a browser without scripts: processes, pages, event streams."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
READY = re.compile(r"^Nunmal (?:\w+ )?is ready(?:: (http://\S+))?", re.MULTILINE)
PASSWORD = "correct horse battery"

# Everybody signs up from here.
_FOR_TESTS = {"OMP_NUM_THREADS": "1", "NUNMAL_WORKER__THREADS": "1", "NUNMAL_WEB__SIGN_UPS_PER_ADDRESS": "10000"}


class Process:
    """One `nunmal` command in a process group of its own, with its output read line by line."""

    def __init__(self, *command: str, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NUNMAL_")}
        self._child = subprocess.Popen(
            [str(Path(sys.executable).with_name("nunmal")), *command],
            cwd=ROOT,
            env=kept | _FOR_TESTS | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._child.pid

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def wait_ready(self, timeout_s: float = 60) -> str:
        """Until the line that says so; returns the address in it, if there is one."""
        end = time.monotonic() + timeout_s
        while True:
            line = self._lines.get(timeout=max(0.01, end - time.monotonic()))
            if line is None:
                self._lines.put(None)
                raise AssertionError(f"ended before it was ready:\n{self.output}")
            self.output += line
            if match := READY.search(line):
                return match[1] or ""

    def wait(self, timeout_s: float = 30) -> int:
        """Until it has ended; the exit code. `output` then holds all it said."""
        code = self._child.wait(timeout_s)
        while (line := self._lines.get(timeout=5)) is not None:
            self.output += line
        self._lines.put(None)  # whoever waits again finds the end too
        return code

    def signal(self, number: signal.Signals, *, whole_group: bool = True) -> None:
        (os.killpg if whole_group else os.kill)(self._child.pid, number)

    def kill(self) -> None:
        """SIGKILL to the whole tree."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.wait()

    def members(self) -> list[int]:
        """Processes of its group that still live."""
        return group_members(self._child.pid)


def group_members(group: int) -> list[int]:
    """Processes of a process group that still live."""
    found = subprocess.run(["/bin/ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True)
    rows = (line.split() for line in found.stdout.splitlines())
    return [int(pid) for pid, state in rows if not state.startswith("Z")]


@dataclass
class Transcript:
    """What a browser has after some events of one answer's stream."""

    text: str = ""
    event_id: str = ""
    state: str = ""
    html: str | None = None

    @property
    def is_over(self) -> bool:
        return self.html is not None


@dataclass(frozen=True)
class Turn:
    """One answer as the page shows it."""

    generation_id: str
    state: str
    text: str


class Person:
    """A browser session without scripts."""

    def __init__(self, address: str, client: httpx.Client | None = None) -> None:
        self._client = client or httpx.Client(base_url=address, follow_redirects=True, timeout=30)
        self.address = address

    def at(self, address: str) -> Person:
        """The same person, with the same cookies, at another address of the service."""
        cookies = {cookie.name: cookie.value or "" for cookie in self._client.cookies.jar}
        return Person(address, httpx.Client(base_url=address, follow_redirects=True, timeout=30, cookies=cookies))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def post(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Fill in the form of `page` that posts to `action`, with its hidden fields, and send it."""
        form = self._page(page).select_one(f'form[method="post"][action="{action}"]')
        assert form, f"no form for {action} on {page}"
        given = {str(field["name"]): str(field.get("value", "")) for field in form.select("input[name]")}
        return self._client.post(action, data=given | fields)

    def _page(self, path: str) -> BeautifulSoup:
        return BeautifulSoup(self.get(path).text, "html.parser")

    def sign_up(self, email: str = "jiu@example.com", name: str = "지우") -> None:
        response = self.post("/signup", "/signup", email=email, name=name, password=PASSWORD)
        assert response.status_code == 200, response.text
        assert response.url.path == "/chat"

    def ask(self, message: str, conversation: str = "/chat") -> str:
        """Returns the path of the conversation."""
        response = self.post(conversation, conversation, message=message)
        assert response.status_code == 200, response.text
        return response.url.path

    def turns(self, conversation: str) -> list[Turn]:
        """All answers of the page, in order."""
        found = []
        for turn in self._page(conversation).select("article.turn"):
            (answer,) = turn.select('[data-role="assistant"]')
            found.append(
                Turn(str(turn["id"]).removeprefix("turn-"), str(answer["data-state"]), answer.get_text().strip("\n"))
            )
        return found

    def stream(self, conversation: str, generation_id: str, have: Transcript | None = None) -> Iterator[Transcript]:
        """`have` after each event, until the answer is over or the stream ends; goes on where `have` is."""
        have = have or Transcript()
        headers = {"Last-Event-ID": have.event_id} if have.event_id else {}
        path = f"{conversation}/stream/{generation_id}"
        with self._client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200
            for event, event_id, data in _events(response.iter_lines()):
                _apply(have, event, event_id, data)
                yield have
                if have.is_over:
                    return

    def whole(self, conversation: str, generation_id: str, have: Transcript | None = None) -> Transcript:
        """The transcript of an answer that has ended, reconnecting as often as a browser would."""
        have = have or Transcript()
        while not have.is_over:
            for _ in self.stream(conversation, generation_id, have):
                pass
        return have


def _events(lines: Iterable[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(event, id, data) of each Server-Sent Event; comments are skipped."""
    event, event_id, data = "", "", ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "id":
            event_id = value
        elif name == "data":
            data += value
        elif not line and event:
            yield event, event_id, json.loads(data)
            event, data = "", ""


def _apply(have: Transcript, event: str, event_id: str, data: dict[str, Any]) -> None:
    """What the page's script does with an event: cut to `offset`, append."""
    have.event_id = event_id or have.event_id
    if event == "text":
        assert data["offset"] <= len(have.text), f"gap: has {len(have.text)}, got {data['offset']}"
        have.text = have.text[: data["offset"]] + data["text"]
    elif event == "state":
        have.state = data["state"]
    elif event == "done":
        have.state, have.html = data["state"], data["html"]
