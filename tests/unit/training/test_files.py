"""Rows come out of whole and of broken files, and nothing that is wrong with a file raises."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import files
from training.data.files import RawRow, raw_rows
from training.data.quarantine import Reason

ROWS = [{"a": "가"}, {"a": "나,]["}, {"a": 3}]


def _read(tmp_path: Path, content: bytes) -> list[RawRow]:
    path = tmp_path / "rows"
    path.write_bytes(content)
    return list(raw_rows(path))


def _reasons(rows: list[RawRow]) -> list[Reason | None]:
    return [row.fault.reason if row.fault else None for row in rows]


def _lines(rows: Sequence[object]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "content",
    [
        _lines(ROWS),
        _lines(ROWS).rstrip(),
        json.dumps(ROWS).encode(),
        json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
        b"\xef\xbb\xbf" + _lines(ROWS),
        b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    ],
    ids=["lines", "lines_without_an_end", "list", "list_over_lines", "lines_with_a_mark", "list_with_a_mark"],
)
def test_every_way_to_write_rows_gives_the_same_rows(tmp_path: Path, content: bytes, pack: type[bytes]) -> None:
    rows = _read(tmp_path, pack(content))

    assert [row.content for row in rows] == ROWS
    assert [row.number for row in rows] == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"[]", b" [ ] "])
def test_a_file_without_rows_gives_none(tmp_path: Path, content: bytes) -> None:
    assert _read(tmp_path, content) == []


def test_a_bad_line_leaves_its_neighbours_and_keeps_its_number(tmp_path: Path) -> None:
    rows = _read(tmp_path, b'\n{"a": 1}\n\n{"a": \n{"a": 2}\n')

    assert [(row.number, row.content) for row in rows] == [(2, {"a": 1}), (4, None), (5, {"a": 2})]
    assert _reasons(rows) == [None, Reason.NOT_JSON, None]
    assert rows[1].text == '{"a":'


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"a": ' * 100_000, '{"a": ' + "9" * 5000 + "}"], ids=["lists", "objects", "number"]
)
def test_a_row_made_to_break_the_parser_is_one_bad_row(tmp_path: Path, line: str) -> None:
    rows = _read(tmp_path, b'{"a": 1}\n' + line.encode() + b'\n{"a": 2}\n')

    assert _reasons(rows) == [None, Reason.NOT_JSON, None]


def test_a_list_that_breaks_off_gives_what_stands_before(tmp_path: Path) -> None:
    whole = json.dumps(ROWS, ensure_ascii=False)

    rows = _read(tmp_path, whole[:-6].encode())

    assert [row.content for row in rows] == [*ROWS[:2], None]
    assert rows[2].fault is not None and "breaks off" in str(rows[2].fault)


def test_a_gzip_that_was_not_copied_whole_gives_what_can_be_unpacked(tmp_path: Path) -> None:
    many = [{"a": f"{n * 7919 % 10007}"} for n in range(20_000)]
    packed = gzip.compress(_lines(many))

    rows = _read(tmp_path, packed[: len(packed) // 2])

    good = [row.content for row in rows if row.fault is None]
    assert len(good) > 1000 and good == many[: len(good)]
    assert rows[-1].fault is not None and rows[-1].fault.reason is Reason.BROKEN_FILE


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ROW_BYTES", 50)

    rows = _read(tmp_path, b'{"a": 1}\n' + b'"' + b"x" * 1000 + b'"\n{"a": 2}\n')

    assert _reasons(rows) == [None, Reason.TOO_LARGE, None]
    assert [row.number for row in rows] == [1, 2, 3]


def test_a_missing_file_is_an_error_of_who_asks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(raw_rows(tmp_path / "nothing.json"))


@given(content=st.binary(max_size=300), head=st.sampled_from([b"", b"[", b"{", b"\x1f\x8b", b'[{"a": 1}, ']))
def test_no_bytes_make_it_crash(content: bytes, head: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + content)

    for row in raw_rows(path):
        assert row.number >= 1
