"""Tesseract's table has pieces of words with their places, its text the spaces between them: joined here."""

from __future__ import annotations

from tests.bench.documents.scans import edit_distance
from workers.ingest.ocr.tesseract import _pieces, _reading, _together
from workers.ingest.parsing.parsed import Scan

_HEAD = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
_SCAN = Scan(100, 100, b"")


def _said(text: str, *pieces: tuple[str, int, int]) -> str:
    rows = [f"5\t1\t1\t1\t1\t1\t{left}\t{top}\t10\t10\t90\t{word}" for word, left, top in pieces]
    return "\n".join([_HEAD, "1\t1\t0\t0\t0\t0\t0\t0\t100\t100\t-1\t", *text.split("\n"), *rows])


def test_pieces_without_a_gap_are_one_word_with_one_box() -> None:
    pieces = (("하천", 0, 0), ("길이", 20, 0), ("는", 30, 0), ("42", 0, 20), ("007", 20, 20))
    reading = _reading(_pieces(_said("하천 길이는\n42 007\n", *pieces)), _SCAN)

    assert reading.text == "하천 길이는\n42 007"
    word = reading.words[1]
    assert reading.text[word.start : word.end] == "길이는"
    assert (word.left, word.right) == (0.2, 0.4)


def test_only_what_has_no_hangul_comes_from_the_other_reading() -> None:
    korean = _pieces(_said("문제를 42 007", ("문제를", 0, 0), ("42", 20, 0), ("007", 40, 0)))
    both = _pieces(_said("SAS 42 cm", ("SAS", 0, 0), ("42", 21, 0), ("cm", 41, 0)))

    assert _reading(_together(korean, both), _SCAN).text == "문제를 42 cm"


def test_edit_distance_counts_letters_that_differ_are_missing_or_too_many() -> None:
    assert [edit_distance(*pair) for pair in (("가나다", "가다"), ("", "ab"), ("가나", "다나"), ("ab", "ab"))] == [
        *(1, 2, 1, 0)
    ]
