"""What strangers send cannot look like a line of ours."""

from __future__ import annotations

import logging

import pytest

from shared.telemetry import configure_logging, fields


@pytest.mark.parametrize("text", ["a\nERROR forged", "a\r\x1b[2J", "a\u2028b", "a\x85b", "\u202eb"])
def test_a_line_stays_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("text", "info")
        logging.getLogger("web.test").warning("something", extra=fields(name=text))
    finally:
        root.handlers[:], root.level = handlers, level

    (line, rest) = capsys.readouterr().err.split("\n")
    assert rest == ""
    assert line.isprintable()
    assert "name=" in line


def test_korean_stays_readable(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("text", "info")
        logging.getLogger("web.test").warning("something", extra=fields(name="눈말 모델"))
    finally:
        root.handlers[:], root.level = handlers, level

    assert "name=눈말 모델" in capsys.readouterr().err
