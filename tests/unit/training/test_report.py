"""The page counts what is in the files, shows nothing personal, and takes any text as text."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from transformers import PreTrainedTokenizerFast

from shared.settings import load_settings
from training.conversations import ConversationEncoder
from training.data.known_leaks import known_leaks
from training.data.leakage import EvalText
from training.data.quarantine import Quarantine
from training.data.report import encode, histogram, main, read_files, render
from training.data.rows import Conversation, single
from training.data.table import Letters, Located, count_letters, row_table

LONG = (
    "복지로에서 신청하시거나 가까운 주민센터를 방문해서 신청하실 수 있어요. 서류는 신분증이 필요해요. "
    "결과는 두 주 안에 문자로 알려 드리고, 궁금한 것은 상담 창구에 물어보시면 돼요."
)
ROWS: list[object] = [
    {"instruction": "신청은 어떻게 해요?", "output": LONG},
    {"instruction": "신청은 어떻게 해요?", "output": LONG + "!"},
    {"instruction": "신청은 어떻게 해요?", "output": LONG.replace("신분증이", "통장이")},
    {"instruction": "신청은 어떻게 해요?", "output": "전화 010-1234-5678로 하세요. <script>alert(1)</script>"},
    {"instruction": "How are you?", "output": "Fine."},
    {"instruction": "답이 없어요"},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    return path


def _page(path: Path, tokenizer: PreTrainedTokenizerFast, tests: list[EvalText]) -> str:
    with Quarantine(path.with_suffix(".bad.jsonl")) as quarantine:
        rows = list(read_files([path], quarantine))
        return render([path], rows, quarantine, tests, tokenizer, path.parent)


def test_table_has_one_line_for_each_row(path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with Quarantine() as quarantine:
        table = row_table(list(read_files([path], quarantine)), tokenizer)

    assert table["row"].tolist() == [1, 2, 3, 4, 5]
    assert table["is_same"].tolist() == [False, True, False, False, False]
    assert table["is_near"].tolist() == [False, False, True, False, False]
    assert table["asks_again"].tolist() == [False, False, True, True, False]
    assert table["language"].tolist() == ["hangul", "hangul", "hangul", "latin", "latin"]
    assert table["characters"][4] == len("How are you?Fine.")
    assert table["tokens"][4] == len(tokenizer.encode("How are you?\nFine.", add_special_tokens=False))


@pytest.mark.parametrize(
    ("text", "expected", "language"),
    [
        ("한글과 ABC 12", Letters(3, 3, 0), "mixed"),
        ("漢字 かな русский", Letters(0, 0, 11), "other"),
        ("ㅋㅋ", Letters(2, 0, 0), "hangul"),
        ("123 !?", Letters(0, 0, 0), "none"),
    ],
)
def test_letters_are_counted_by_script(text: str, expected: Letters, language: str) -> None:
    assert count_letters(text) == expected
    assert expected.language == language


def test_page_says_how_many_of_each(path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    page = BeautifulSoup(_page(path, tokenizer, [EvalText("faq", LONG)]), "html.parser")

    counts = {box.dt.text: box.dd.text for box in page.select("dl > div") if box.dt and box.dd}
    assert counts == {
        "읽은 행": "5",
        "격리한 행": "1",
        "똑같은 행": "1",
        "거의 같은 행": "1",
        "개인정보로 보이는 것": "1",
        "평가 데이터가 든 행": "3",
    }
    assert len(page.select("svg")) == 4
    assert "bad_field" in page.text


def test_page_shows_personal_things_masked_and_text_as_text(path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    tests = [EvalText("<script>alert(2)</script>", LONG)]

    page = _page(path, tokenizer, tests)

    assert "01*-****-****" in page
    assert "1234-5678" not in page
    assert "<script" not in page


def test_page_says_which_leaking_rows_fine_tuning_leaves_out(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    path = tmp_path / "rows.jsonl"
    ids = [min(known_leaks()), "songys_chatbot-0"]
    rows = [
        {"id": id_, "messages": [{"role": "user", "content": LONG}, {"role": "assistant", "content": "네"}]}
        for id_ in ids
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    page = BeautifulSoup(_page(path, tokenizer, [EvalText("faq", LONG)]), "html.parser")

    cells = [cell.text for row in page.select("tbody tr") if row.th and row.th.text == "faq" for cell in row("td")]
    assert cells[1:3] == ["2", "1"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"instruction": "x"}'])
def test_a_file_without_a_good_row_still_gives_a_page(
    tmp_path: Path, content: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)

    assert "읽은 행이 없어요" in _page(path, tokenizer, [])


def test_histogram_holds_every_row_and_is_not_flattened_by_one_long_one() -> None:
    bars = histogram(pd.Series([*range(1, 101)] * 10 + [1_000_000]))

    assert sum(bar.rows for bar in bars) == 1001
    assert (bars[0].low, bars[-1].low) == (1, 96)
    assert len(bars) <= 24
    assert max(bar.height for bar in bars) == 1.0
    assert all(bar.high + 1 == after.low for bar, after in pairwise(bars))


def test_histogram_of_equal_values_is_one_bar() -> None:
    assert [(bar.low, bar.rows) for bar in histogram(pd.Series([2, 2, 2]))] == [(2, 3)]
    assert histogram(pd.Series([], dtype=int)) == []


def test_shown_mask_is_the_one_that_is_trained(
    tokenizer: PreTrainedTokenizerFast, encoder: ConversationEncoder
) -> None:
    row = Conversation("s", (("system", "짧게."), ("user", "<|end|>라고?"), ("assistant", "네.")))

    assert encode(row, tokenizer) == encoder.encode(list(row.turns))


def test_a_template_that_marks_no_answers_is_refused() -> None:
    plain = PreTrainedTokenizerFast.from_pretrained(load_settings().model_source)
    plain.chat_template = "{{ messages }}"

    with pytest.raises(ValueError, match="does not mark what is learnt"):
        encode(single("s", "안녕?", "네"), plain)


def test_command_writes_the_page_and_the_quarantine(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = path.parent / "deep" / "report.html"

    main([str(path), "--out", str(out), "--data-dir", str(path.parent)])

    assert "<!doctype html>" in out.read_text(encoding="utf-8")
    assert out.with_suffix(".quarantine.jsonl").is_file()
    assert "5 rows, 1 bad ones" in capsys.readouterr().out


def test_command_shows_conversations_in_two_colours(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(path), "--show", "1"])

    shown = capsys.readouterr().out
    assert f"{path}:1\n" in shown and f"{path}:2\n" not in shown
    assert "\x1b[32m" in shown and "\x1b[90m" in shown
    assert not list(path.parent.glob("*.quarantine.jsonl"))


def test_command_says_which_file_is_missing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(path), "nowhere.json"])

    assert "no such file: nowhere.json" in capsys.readouterr().err


def test_rows_are_located_by_file_and_number(path: Path) -> None:
    with Quarantine() as quarantine:
        first = next(read_files([path], quarantine))

    assert first == Located(path, 1, Conversation("rows", (("user", "신청은 어떻게 해요?"), ("assistant", LONG))))
