"""Long passwords that are tried first all the same, and good ones that are not refused by mistake."""

from __future__ import annotations

import pytest

from tests.web_visitor import PASSWORD
from web.auth.guessable import _FILE, is_guessable

_OWN = ("haneul.kim@example.com", "김하늘")


@pytest.mark.parametrize(
    "password",
    [
        "1qaz2wsx3edc",
        "123456789012",
        "QWERTY123456",
        "password2026!",
        "!!!Sunshine!!!",
        "dragondragon1",
        "asdfghjkl;'zxc",
        "가나다라마바사아자차카타",
        "비밀번호비밀번호1234",
        "dkssudgktpdy1!",  # 안녕하세요, typed on a Latin keyboard
        "사랑해 사랑해 사랑해 사랑",
        "121212121212",
        "ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ",
        "김하늘 김하늘 김하늘 12",
        "haneul.kim2026",
        "Haneul.Kim@example.com",
    ],
)
def test_what_others_would_try_is_refused(password: str) -> None:
    assert len(password) >= 12
    assert is_guessable(password, _OWN)


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "correct horse battery",
        "wide-otter-velvet-7",
        "비 오는 날 창가의 고양이",
        "x7!kPq02mZ_e",
        "271828182845",
        "하늘에서 떨어진 사과 셋",
    ],
)
def test_what_takes_an_idea_is_not(password: str) -> None:
    assert not is_guessable(password, _OWN)


def test_all_the_common_ones_of_twelve_characters_are_refused() -> None:
    lines = [line for line in _FILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    common = [line for line in lines if len(line) >= 12]

    assert len(common) >= 200
    assert all(is_guessable(line.upper()) for line in common)
    short = [line for line in lines if line.isalpha() and 4 <= len(line) <= 10]
    assert len(short) >= 1900
    assert all(is_guessable(f"{line}{'1234567890'[: 12 - len(line)]}") for line in short)


def test_the_longest_password_takes_no_time() -> None:
    assert is_guessable("ab" * 36)
    assert not is_guessable(("1qaz" * 17) + "xyq!")
