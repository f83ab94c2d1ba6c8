"""What the comparison of chunking strategies counts: a cut through an answer must cost, and headings must help."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from training import chunking, evaluate
from training.chunking import Asked, Collection, character_f1, docs, korquad, measured, table

_FILLER = "눈이 내리는 마을에는 작은 우체국이 하나 있다. " * 6


def _asked(text: str, question: str, answer: str) -> Collection:
    start = text.index(answer)
    return Collection("made", [text], [Asked(question, 0, start, start + len(answer))])


def test_an_answer_that_a_window_cuts_in_two_is_not_found() -> None:
    text = "가" * 95 + " 도서관은 화요일에 쉰다. 다음 이야기."

    whole = measured(_asked(text, "도서관은 언제 쉬나?", "도서관은 화요일에 쉰다."), "recursive", 100)
    cut = measured(_asked(text, "도서관은 언제 쉬나?", "가 도서관은 화요일에 쉰다."), "recursive", 100)

    assert (whole.hit1, whole.contained) == (1.0, 1.0)
    assert (cut.hit5, cut.contained) == (0.0, 0.0)


def test_a_chunk_of_another_document_is_not_right() -> None:
    text = f"{_FILLER}도서관은 화요일에 쉰다."
    start = text.index("도서관")
    twice = Collection("made", [text, text], [Asked("도서관은 언제 쉬나?", 1, start, len(text))])

    assert measured(twice, "fixed", 500).hit1 == 0.0
    assert measured(twice, "fixed", 500).hit5 == 1.0


def test_headings_find_what_does_not_name_itself() -> None:
    animals = ("토끼", "다람쥐", "너구리", "고라니")
    parts = [f"# {animal}\n\n{_FILLER}무게는 {number}킬로그램이다.\n" for number, animal in enumerate(animals, 2)]
    collection = _asked("\n".join(parts), "너구리의 무게는 몇 킬로그램인가?", "무게는 4킬로그램이다.")

    assert measured(collection, "markdown header", 100).hit1 == 1.0
    assert measured(collection, "recursive", 100).hit1 == 0.0


def test_lengths_and_counts_are_those_of_the_chunks() -> None:
    row = measured(_asked("한 문장이다. " * 20, "문장", "한 문장이다."), "fixed", 50)

    assert row.longest <= 50
    assert row.chunks == 4


@pytest.mark.parametrize(
    ("said", "answer", "expected"), [("가 나", "가나", 1.0), ("가나", "다", 0.0), ("가나다", "가", 0.5)]
)
def test_f1_is_of_characters(said: str, answer: str, expected: float) -> None:
    assert character_f1(said, answer) == pytest.approx(expected)


def _write(file: Path, rows: list[dict[str, object]]) -> None:
    file.parent.mkdir(parents=True)
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def _data(directory: Path) -> Path:
    contexts = ("첫 문단이다. 답은 여기 있다.", "둘째 문단이다. 저기도 있다.")
    rows: list[dict[str, object]] = []
    for context, place in zip(contexts, ("여기", "저기"), strict=True):
        answer = {"answer_start": context.index(place), "text": place}
        rows.append({"title": "글", "context": context, "qas": [{"question": "어디에?", "answers": [answer]}]})
    _write(directory / "eval" / "korquad1_dev" / "KorQuAD_v1.0_dev.jsonl.gz", rows)
    prose = "이 안내서는 처음 배우는 사람이 하루에 한 장씩 읽을 수 있게 아주 쉽게 썼다."
    _write(directory / "docs" / "book" / "docs.jsonl.gz", [{"markdown": f"# 책\n\n{prose}\n\n```\n{prose}\n```\n"}])
    return directory


def test_paragraphs_of_an_article_are_one_document_and_answers_keep_their_places(tmp_path: Path) -> None:
    found = korquad(_data(tmp_path), 10, random.Random(1))

    assert len(found.texts) == 1
    assert {found.texts[each.document][each.start : each.end] for each in found.asked} == {"여기", "저기"}


def test_documents_are_asked_about_their_prose_and_not_about_code(tmp_path: Path) -> None:
    found = docs(_data(tmp_path), 10, 1, random.Random(1))

    (asked,) = found.asked
    assert asked.text.split() == found.texts[0][asked.start : asked.end].split()[::3]


def test_the_command_writes_a_table_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    data = str(_data(tmp_path / "data"))
    monkeypatch.setattr("sys.argv", ["evaluate", "chunking", "--data-dir", data, "--out", str(out), "--limits", "100"])

    evaluate.main()

    rows = json.loads((out / "chunking.json").read_text("utf-8"))["rows"]
    assert [row["strategy"] for row in rows] == 2 * list(chunking.STRATEGIES)
    assert (out / "chunking.md").read_text("utf-8").count("\n") == 2 + len(rows)
    assert (out / "chunking.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_of_a_collection_and_a_limit_stands_out() -> None:
    rows = [measured(_asked(f"{_FILLER}끝이다.", "끝", "끝이다."), name, 100) for name in ("fixed", "recursive")]

    assert "**1.000**" in table(rows)


def test_missing_data_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        chunking.main(["--data-dir", str(tmp_path)])

    assert "NUNMAL_DATA_DIR" in capsys.readouterr().err
