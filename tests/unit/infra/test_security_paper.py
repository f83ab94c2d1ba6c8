"""infra/SECURITY.md stays true: all requirements stand in it once, and what it names as evidence exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from shared.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]
PAPER = (ROOT / "infra" / "SECURITY.md").read_text(encoding="utf-8")
STATES = {"met", "partly", "not met", "does not apply"}

# OWASP ASVS 4.0.3: the requirements of levels 1 and 2 by section. Other numbers are of level 3, or were deleted.
LEVEL_2 = """
1.1:1-7 1.2:1-4 1.4:1,4-5 1.5:1-4 1.6:1-4 1.7:1-2 1.8:1-2 1.9:1-2 1.10:1 1.11:1-2 1.12:2 1.14:1-6
2.1:1-12 2.2:1-3 2.3:1-3 2.4:1-5 2.5:1-7 2.6:1-3 2.7:1-6 2.8:1-7 2.9:1-3 2.10:1-4
3.1:1 3.2:1-4 3.3:1-4 3.4:1-5 3.5:1-3 3.7:1
4.1:1-3,5 4.2:1-2 4.3:1-3
5.1:1-5 5.2:1-8 5.3:1-10 5.4:1-3 5.5:1-4
6.1:1-3 6.2:1-6 6.3:1-2 6.4:1-2
7.1:1-4 7.2:1-2 7.3:1,3-4 7.4:1-3
8.1:1-4 8.2:1-3 8.3:1-8
9.1:1-3 9.2:1-4
10.2:1-2 10.3:1-3
11.1:1-8
12.1:1-3 12.2:1 12.3:1-6 12.4:1-2 12.5:1-2 12.6:1
13.1:1,3-5 13.2:1-3,5-6 13.3:1-2 13.4:1-2
14.1:1-4 14.2:1-6 14.3:2-3 14.4:1-7 14.5:1-4
"""
_CODE = re.compile(r"`([^`]+)`")
# Words in code type that are not evidence but what it is about: routes, headers, names of other people's things.
_NOT_EVIDENCE = re.compile(
    r"/v1|/keys|/metrics|Authorization|Permissions-Policy|nosniff|no-store|amqps|tls=true|Path=/|frame-ancestors 'none'"
    r"|\$ref|\.env|\.(css|js|svg)|json\.dumps|quote"
)


class Row(NamedTuple):
    numbers: list[str]
    what: str
    state: str
    evidence: str


def rows_of(paper: str) -> list[Row]:
    """The rows of the checklist: their first cell holds one number or several."""
    found = re.findall(r"^\| ((?:\d+\.\d+\.\d+(?:, )?)+) \| (.+?) \| (.+?) \| (.+) \|$", paper, re.MULTILINE)
    return [Row(numbers.split(", "), what, state, evidence) for numbers, what, state, evidence in found]


def numbers_of_level_2() -> list[str]:
    numbers = []
    for entry in LEVEL_2.split():
        section, _, ranges = entry.partition(":")
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            numbers += [f"{section}.{number}" for number in range(int(first), int(last or first) + 1)]
    return numbers


def settings() -> set[str]:
    names = set()
    for name, value in load_settings({}):
        inner = [field for field, _ in value] if isinstance(value, BaseModel) else []
        names |= {f"NUNMAL_{name}__{field}".upper() for field in inner} or {f"NUNMAL_{name}".upper()}
    return names


TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
COMMANDS = set(re.findall(r'add_parser\(\s*"(\w+)"', (ROOT / "infra" / "cli.py").read_text(encoding="utf-8")))
SETTINGS = settings()


def exists(name: str) -> bool:
    if name.startswith("test_"):
        return name in TESTS
    if name.startswith("NUNMAL_"):
        return name in SETTINGS
    if name.startswith("make "):
        return name.removeprefix("make ") in TARGETS
    if name.startswith("nunmal "):
        return set(name.split()[1:]) <= COMMANDS
    return (ROOT / name).exists()


ROWS = rows_of(PAPER)


def test_every_requirement_of_level_2_stands_there_once_and_in_order() -> None:
    numbers = [number for row in ROWS for number in row.numbers]
    expected = numbers_of_level_2()

    assert len(expected) == 259
    assert sorted(numbers) == sorted(expected)
    firsts = [tuple(map(int, row.numbers[0].split("."))) for row in ROWS]
    assert firsts == sorted(firsts)


def test_no_row_of_a_table_is_read_past() -> None:
    lines = [line for line in PAPER.splitlines() if re.match(r"\| *\d", line)]

    assert len(lines) == len(ROWS)


def test_states_are_of_the_four_words() -> None:
    assert {row.state for row in ROWS} <= STATES


def test_what_is_not_simply_met_says_why_in_words() -> None:
    bare = [row.numbers for row in ROWS if row.state != "met" and not re.search(r"[a-z]", _CODE.sub("", row.evidence))]

    assert bare == []


def test_what_is_met_names_evidence() -> None:
    """A file, a test, a setting or a command; the page above counts for papers."""
    bare = [row.numbers for row in ROWS if row.state == "met" and "`" not in row.evidence]

    assert bare == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.numbers[0])
def test_what_is_named_exists(row: Row) -> None:
    names = [name for name in _CODE.findall(row.evidence) if not _NOT_EVIDENCE.fullmatch(name)]

    assert [name for name in names if not exists(name)] == []


@pytest.mark.parametrize(
    "name",
    ["test_of_nothing", "NUNMAL_NOTHING", "make nothing", "nunmal nothing", "nunmal users nothing", "web/nothing.py"],
)
def test_what_is_not_there_is_noticed(name: str) -> None:
    assert not exists(name)


def test_what_the_first_page_names_exists() -> None:
    page = PAPER.partition("## OWASP ASVS")[0]
    names = re.findall(r"`((?:make|nunmal) [a-z][a-z ]*|NUNMAL_[A-Z_]+|(?:infra|shared|tests|web)/[\w/.]+)[^`]*`", page)

    assert len(names) > 15
    assert [name for name in names if not exists(name.strip())] == []


def test_the_last_page_speaks_of_rows_that_are_open() -> None:
    """A requirement that was met since must leave the list of what is missing."""
    last = PAPER.partition("## What is not met")[2]
    states = {number: row.state for row in ROWS for number in row.numbers}
    named = re.findall(r"\b\d+\.\d+\.\d+\b", last)

    assert named
    assert [number for number in named if states[number] == "met"] == []
