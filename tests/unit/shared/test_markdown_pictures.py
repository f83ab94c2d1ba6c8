"""Pictures of Markdown: those that were sent along come to lie in it, those that lie in it come out, nothing else."""

from __future__ import annotations

import base64

import pytest

from shared.markdown_pictures import picture_number, take_out, with_pictures
from tests.documents import decomposed

_PNG, _JPEG = b"\x89PNG picture", b"\xff\xd8\xff picture"
_HELD = f"data:image/png;base64,{base64.b64encode(_PNG).decode()}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("![그림](a.png)", f"![그림]({_HELD})"),
        ("![그림](img/deep/a.png)", f"![그림]({_HELD})"),
        ('![그림](<./A.PNG> "제목")', f'![그림]({_HELD} "제목")'),
        ("![하나][x]\n\n[x]: img/a.png", f"![하나][x]\n\n[x]: {_HELD}"),
        ('<p><img width="3" src="img/a.png" alt="그림 [1]"></p>', f"<p>![그림 1 ]({_HELD})</p>"),
        ("<img src='a.png'>", f"![]({_HELD})"),
    ],
)
def test_a_picture_that_is_named_lies_in_the_text(written: str, expected: str) -> None:
    assert with_pictures(f"앞 {written}\n뒤", {"a.png": _PNG}) == (f"앞 {expected}\n뒤", {"a.png"})


def test_names_are_the_same_however_their_letters_are_composed_or_escaped() -> None:
    for written in ("가 나.png", decomposed("가 나.png"), "%EA%B0%80%20%EB%82%98.png"):
        _, used = with_pictures(f"![](<{written}>)", {"가 나.png": _PNG})
        assert used == {"가 나.png"}


@pytest.mark.parametrize(
    "written",
    [
        "![x](https://example.com/a.png)",
        "![x](//example.com/a.png)",
        "![x](file:///etc/a.png)",
        "![x](b.png)",
        "[x](a.png)",
        '<img src="http://example.com/a.png">',
        "<img src=a.png",
        "![x](",
    ],
)
def test_every_other_address_stays_as_it_is(written: str) -> None:
    assert with_pictures(written, {"a.png": _PNG}) == (written, set())


def test_what_was_put_in_comes_out_again() -> None:
    text, _ = with_pictures("![하나](a.png) ![둘](b.jpg) ![셋](a.png)", {"a.png": _PNG, "b.jpg": _JPEG})
    out = take_out(text)

    assert out.pictures == [_PNG, _JPEG, _PNG]
    assert out.text == "![하나](nunmal-picture:0) ![둘](nunmal-picture:1) ![셋](nunmal-picture:2)"
    assert [picture_number(f"nunmal-picture:{number}") for number in (0, 12)] == [0, 12]


def test_what_is_no_picture_address_has_no_number() -> None:
    for address in ("a.png", "nunmal-picture:", "nunmal-picture:x", "xnunmal-picture:1", "nunmal-picture:1/../2"):
        assert picture_number(address) is None


def test_broken_base64_is_an_empty_picture_and_svg_is_none() -> None:
    assert take_out("![x](data:image/png;base64,A)").pictures == [b""]
    assert take_out("![x](data:image/svg+xml;base64,QUJD)") == ("![x](data:image/svg+xml;base64,QUJD)", [])


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["![", "![x](", "<img ", "<img src='", "[x]: ", "data:image/png;base64,", "![\\"])
def test_soup_takes_no_longer_than_prose(piece: str) -> None:
    soup = piece * 100_000

    assert with_pictures(soup, {"a.png": _PNG})[1] == set()
    assert len(take_out(soup).text) > 0
