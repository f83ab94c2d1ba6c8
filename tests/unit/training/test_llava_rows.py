"""Rows of anybody: what can be learned from is taken, the rest is left out with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shared.chat import Role
from tests.tiny_models import PICTURE_TOKEN, tiny_tokenizer
from training.llava_rows import Unusable, open_picture, parse_row, read_rows
from training.picture_chats import PictureChatEncoder
from training.picture_dataset import Refused, examine


def turns(*values: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[number % 2], "value": value} for number, value in enumerate(values)]


def row(*values: str, **more: Any) -> dict[str, Any]:
    return {"id": "r", "image": "red.png", "conversations": turns(*values)} | more


GOOD = row("<image>\n무슨 색이에요?", "빨간색이에요.")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (20, 30), "red").save(folder / "red.png")
    whole = (folder / "red.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("그림이 아니에요")
    (folder / "empty.png").write_bytes(b"")
    (tmp_path / "outside.png").write_bytes(whole)
    return folder


def test_picture_stands_before_its_turn_wherever_the_tag_was(images: Path) -> None:
    found = parse_row(row("무슨 색이에요?\n<image>", "빨간색이에요.", "정말요?", "네."), images)

    assert [(turn.role, turn.content, len(turn.pictures)) for turn in found.turns] == [
        (Role.USER, "무슨 색이에요?", 1),
        (Role.ASSISTANT, "빨간색이에요.", 0),
        (Role.USER, "정말요?", 0),
        (Role.ASSISTANT, "네.", 0),
    ]
    assert found.pictures == (images / "red.png",)


BAD: list[tuple[str, Any]] = [
    ("no_row", "글"),
    ("no_conversation", {"id": "r", "image": "red.png"}),
    ("no_conversation", row()),
    ("no_conversation", row(conversations=[{"from": "human"}])),
    ("wrong_roles", row(conversations=turns("<image>", "가", "나")[1:])),
    ("wrong_roles", row(conversations=[{"from": "system", "value": "가"}, *turns("<image>", "나")])),
    ("wrong_roles", row("<image>\n답이 없어요")),
    ("empty_turn", row("<image>", " \n")),
    ("unreadable_text", row("<image>", "가\x00나")),
    ("picture_count", row("그림이 보이지 않아요", "네")),
    ("picture_count", row("<image><image>", "두 장")),
    ("picture_in_answer", row("가", "<image>")),
    ("picture_missing", row("<image>", "가", image="nowhere.png")),
    ("picture_missing", row("<image>", "가", image="../outside.png")),
    ("picture_missing", row("<image>", "가", image="/etc/hostname")),
    ("picture_missing", row("<image>", "가", image=7)),
    ("picture_broken", row("<image>", "가", image="cut.png")),
    ("picture_broken", row("<image>", "가", image="text.jpg")),
    ("picture_broken", row("<image>", "가", image="empty.png")),
    ("no_picture", {"id": "r", "conversations": turns("안녕", "네")}),
    ("too_long", row("<image>", "가" * 200)),
]


def test_bad_rows_are_refused_with_their_reason_and_good_ones_stay(images: Path) -> None:
    encoder = PictureChatEncoder(tiny_tokenizer(PICTURE_TOKEN), PICTURE_TOKEN, 16, frozenset(), max_tokens=100)

    verdicts = list(examine([*(bad for _, bad in BAD), GOOD], images, encoder, needs_picture=True))

    refused = [verdict for verdict in verdicts if isinstance(verdict, Refused)]
    assert [(verdict.row, verdict.reason) for verdict in refused] == [
        (number, reason) for number, (reason, _) in enumerate(BAD)
    ]
    assert verdicts[-1] == [(len(BAD), 0)]


def test_a_row_without_pictures_may_stay_where_people_only_talk(images: Path) -> None:
    encoder = PictureChatEncoder(tiny_tokenizer(PICTURE_TOKEN), PICTURE_TOKEN, 16, frozenset(), max_tokens=100)

    talk = {"conversations": turns("안녕", "네")}

    assert list(examine([talk], images, encoder, needs_picture=False)) == [[(0, 0)]]


def test_picture_is_upright_and_on_white(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (20, 30)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")

    assert open_picture(tmp_path / "turned.jpg").size == (30, 20)
    assert open_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


def test_missing_picture_says_which(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"picture_broken: gone\.png"):
        open_picture(tmp_path / "gone.png")


@pytest.mark.parametrize("text", ["{}", "[1,"])
def test_a_file_without_a_list_stops_the_run(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"rows\.json"):
        read_rows(path)
