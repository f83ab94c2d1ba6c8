"""Passwords that others try first, however long they are (ASVS 2.1.7): what common ones are made of, and the own name.

Refused, without regard to case and spaces:

- what common_passwords.txt has;
- one word of it, or of the person's own, once or repeated, with nothing but digits and signs around it;
- up to four characters, repeated;
- neighbours on the keyboard or in the alphabet, in runs of three and more.

Not noticed: sentences that many people know, and several common words in a row.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

_FILE = Path(__file__).resolve().parent / "common_passwords.txt"
_LEAST_RUN = 3
_MOST_REPEATED = 4
_LEAST_OWN = 3  # characters of a name that is looked for

_ROWS = (
    "1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "!@#$%^&*()_+",
    "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ",
    "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ",
    "ㅋㅌㅊㅍㅠㅜㅡ",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",  # columns of the keyboard
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "qawsedrftgyhujikolp",
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "가나다라마바사아자차카타파하",
    "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "ㅏㅑㅓㅕㅗㅛㅜㅠㅡㅣ",
)
_RUNS = tuple(run for row in _ROWS for run in (row, row[::-1]))


def is_guessable(password: str, own: Iterable[str] = ()) -> bool:
    """`own`: what others know of the person, such as name and e-mail address."""
    text = _plain(password)
    words = _common() | _own_words(own)
    core = _without_edges(text)
    is_a_word = not words.isdisjoint({text, core, _unit(core)})
    return is_a_word or len(_unit(text)) <= _MOST_REPEATED or _is_runs(text)


def _own_words(own: Iterable[str]) -> frozenset[str]:
    wholes = [_plain(text) for text in own]
    pieces = [_without_edges(piece) for whole in wholes for piece in (whole, whole.partition("@")[0])]
    return frozenset(word for word in (*wholes, *pieces) if len(word) >= _LEAST_OWN)


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def _without_edges(text: str) -> str:
    """Digits and signs taken off at both ends."""
    letters = [index for index, character in enumerate(text) if character.isalpha()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


def _unit(text: str) -> str:
    """The shortest text that gives `text` when it is repeated; the last time may be cut."""
    lengths = range(1, len(text) // 2 + 1)
    return next((text[:length] for length in lengths if text[length:] == text[:-length]), text)


def _is_runs(text: str) -> bool:
    """Nothing but runs, taken from the left as long as they go."""
    position = 0
    while position < len(text):
        length = max(_run_length(text, position, run) for run in _RUNS)
        if length < _LEAST_RUN:
            return False
        position += length
    return True


def _run_length(text: str, position: int, run: str) -> int:
    length = 0
    while text[position : position + length + 1] in run and position + length < len(text):
        length += 1
    return length


@functools.cache
def _common() -> frozenset[str]:
    lines = _FILE.read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
