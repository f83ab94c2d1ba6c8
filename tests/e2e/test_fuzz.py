"""A short form of `make fuzz`, and that it finds every hole that it can plant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route

from tests.fuzz.scripts import Watcher
from tests.fuzz.tally import Tally
from tests.service import ROOT

pytestmark = [pytest.mark.timeout(240), pytest.mark.browser]

NUMBERS = ("requests", "status_5xx", "tracebacks", "scripts_run", "foreign_reads")


def _fuzzed(directory: Path, *options: str) -> tuple[int, dict[str, int], str]:
    """Exit code, report and what was said."""
    report = directory / "fuzz.json"
    command = [sys.executable, "-m", "tests.fuzz", "--report", str(report), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    return done.returncode, json.loads(report.read_text()), done.stdout + done.stderr


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    "markup",
    [
        "<script>canary(1)</script>",
        "<script>alert(1)</script>",
        "<img src=/x onerror=canary(1)>",
        "<p onclick=canary(1)>x</p>",
        "<a href=' javascript:canary(1)'>x</a>",
        "<iframe srcdoc=x></iframe>",
    ],
)
async def test_whatever_runs_or_could_is_counted(browser: Browser, markup: str) -> None:
    context = await browser.new_context()
    tally = Tally("http://fuzz.invalid")

    async def page_without_policy(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=f"<!doctype html><title>x</title><p>안녕{markup}")

    await context.route("**/*", page_without_policy)
    watcher = Watcher(context, "http://fuzz.invalid", tally)
    await watcher.look(await watcher.begin(), "/")
    await context.close()

    assert tally.scripts_run > 0
    assert not tally.is_clean


def test_a_short_attack_finds_nothing(tmp_path: Path) -> None:
    code, found, said = _fuzzed(tmp_path, "--requests", "1500")

    assert code == 0, said
    assert tuple(found) == NUMBERS
    assert found.pop("requests") >= 1500
    assert set(found.values()) == {0}


@pytest.mark.parametrize(
    ("holes", "parts", "numbers"),
    [
        (("idor", "xss"), ("doors", "pages"), {"foreign_reads", "scripts_run"}),
        (("500",), ("storm",), {"status_5xx"}),
    ],
)
def test_planted_holes_are_found(
    tmp_path: Path, holes: tuple[str, ...], parts: tuple[str, ...], numbers: set[str]
) -> None:
    enough = "4000" if "storm" in parts else "1000"  # what breaks this hole's code has to be drawn
    code, found, said = _fuzzed(tmp_path, "--requests", enough, "--plant", *holes, "--parts", *parts)

    assert code == 1, said
    assert {name for name in ("foreign_reads", "status_5xx", "scripts_run") if found[name]} == numbers, said
