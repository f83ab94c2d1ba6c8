"""`make traces`: a question from a real browser, one over the API, and their traces in a collector that is not ours.

Web node, RabbitMQ, worker and reference model are those of `nunmal up`; the collector is Arize Phoenix. Writes
build/traces.json, every span with its place in time; ends with 1 if something is missing, lies outside its trace, or
tells what somebody wrote, or if an answer fails because the collector has gone.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page, expect

from tests.accounts import make_key, make_user
from tests.e2e.conftest import chromium, sign_up
from tests.environments import Environment, NotInstalled
from tests.service import ROOT, Process
from tests.traces.collector import Collector, Span, running_collector

_MODEL = "reference"
_BROWSER = "browser: click to first text"
_OF_WEB = {"admit", "send permit", "stream"}
_OF_WORKER = {"queue", "prompt", "prefill", "decode", "store answer"}
_ROOT = f"chat {_MODEL}"
_QUESTION = "가을에 걷기 좋은 길은 어디인가요?"
_ANSWERED_WITHIN_S = 120.0
_CLOCK_S = 0.005  # between two processes' clocks of one host


async def traces(python: Path) -> list[str]:
    """What is wrong; writes the report."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with running_collector(python, directory) as collector:
            home = directory / "home"
            service = Process("up", "--port", "0", NUNMAL_HOME=str(home), NUNMAL_TRACES_URL=collector.takes_at)
            with service:
                address = await asyncio.to_thread(service.wait_ready)
                _say(f"{address} tells {collector.takes_at}")
                problems = await _look(collector, address, home)
                service.signal(signal.SIGTERM, whole_group=False)
                await asyncio.to_thread(service.wait)
            (ROOT / "build" / "traces.log").write_text(service.output)
    return problems


async def _look(collector: Collector, address: str, home: Path) -> list[str]:
    await asyncio.to_thread(make_user, home, "trace@example.com", "기록")
    key = await asyncio.to_thread(make_key, home, "trace@example.com")
    async with chromium() as browser:
        page = await (await browser.new_context(locale="ko-KR")).new_page()
        await sign_up(page, address)
        asked = await _ask(page, 1)
        clicked = await collector.spans(asked, len({_BROWSER, _ROOT} | _OF_WEB | _OF_WORKER))
        called = await _call(address, key)
        over_api = await collector.spans(called, len({_ROOT, "admit", "send permit"} | _OF_WORKER))
        await collector.end()
        await _ask(page, 2)
        _say("answered without a collector")
    report = {"browser": list(_lines(clicked)), "api": list(_lines(over_api))}
    (ROOT / "build" / "traces.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    return [
        *_problems("browser", clicked, {_BROWSER, _ROOT} | _OF_WEB | _OF_WORKER),
        *_problems("api", over_api, {_ROOT, "admit", "send permit"} | _OF_WORKER),
        *(["the browser's wait does not begin before the question came"] if _begins_late(clicked) else []),
    ]


async def _ask(page: Page, number: int) -> str:
    """The id of the answer, which has come."""
    field = page.get_by_label("메시지", exact=True)
    await field.fill(_QUESTION)
    await field.press("Enter")
    answer = page.locator("article.turn").nth(number - 1)
    await expect(answer.locator("[data-role=assistant][data-state=done]")).to_be_visible(
        timeout=_ANSWERED_WITHIN_S * 1e3
    )
    return str(await answer.get_attribute("id")).removeprefix("turn-")


async def _call(address: str, key: str) -> str:
    """The id of an answer over the API."""
    question = {"model": _MODEL, "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 24}
    async with httpx.AsyncClient(timeout=_ANSWERED_WITHIN_S) as client:
        response = await client.post(
            f"{address}/v1/chat/completions", json=question, headers={"Authorization": f"Bearer {key}"}
        )
        response.raise_for_status()
    return str(response.json()["id"]).removeprefix("chatcmpl-")


def _problems(way: str, spans: dict[str, Span], wanted: set[str]) -> Iterator[str]:
    if missing := wanted - spans.keys():
        yield f"{way}: no span {', '.join(sorted(missing))}"
    root = spans.get(_ROOT)
    if root is None:
        return
    if root.parent is not None:
        yield f"{way}: the whole has a parent"
    for name, span in spans.items():
        if name != _ROOT and span.parent != root.id:
            yield f"{way}: {name} does not hang on the whole"
        if span.status == "ERROR":
            yield f"{way}: {name} failed"
        if _QUESTION in json.dumps(span.attributes, ensure_ascii=False):
            yield f"{way}: {name} tells what was asked"
    order = [spans[name] for name in ("queue", "prompt", "prefill", "decode", "store answer") if name in spans]
    if any((later.began - earlier.ended).total_seconds() < -_CLOCK_S for earlier, later in pairwise(order)):
        yield f"{way}: the stages overlap"


def _begins_late(spans: dict[str, Span]) -> bool:
    browser, admit = spans.get(_BROWSER), spans.get("admit")
    return browser is not None and admit is not None and browser.began > admit.began


def _lines(spans: dict[str, Span]) -> Iterator[dict[str, Any]]:
    """From the first on, in milliseconds."""
    ordered = sorted(spans.values(), key=lambda span: span.began)
    for span in ordered:
        began = (span.began - ordered[0].began).total_seconds() * 1e3
        took = (span.ended - span.began).total_seconds() * 1e3
        yield {"name": span.name, "began_ms": round(began, 1), "took_ms": round(took, 1), "told": span.attributes}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The exit code."""
    _say("setting up the collector")
    try:
        python = Environment(ROOT / "build" / "traces" / "phoenix", Path(__file__).with_name("phoenix.txt")).make()
    except NotInstalled as error:
        _say(str(error))
        return 1
    problems = asyncio.run(traces(python))
    for problem in problems:
        _say(problem)
    _say(f"{len(problems)} problems; build/traces.json")
    return 1 if problems else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    sys.exit(main())
