"""The short answer in a sentence that somebody said freely, for marking: what was said last about what was asked."""

from __future__ import annotations

import re

from vision.scenes.nouns import COUNTS, words_for
from vision.scenes.programs import Program
from vision.scenes.vocabulary import CANNOT_TELL, NAMES, NO, VALUES, YES
from vision.scenes.wording import SIDE_WORDS

_YES_OR_NO = {"exist", "every", "agree", "is_beside", "more", "fewer", "equal"}
_COUNTED = re.compile(rf"({'|'.join(COUNTS[1:])}|\d+) ?개")
_NONE = re.compile(r"하나도|없습니다|없어요|없다|남지 않")
_SIZES = {"large": r"큰|큽|크|커다란|큼직", "small": r"작|조그만|자그마"}


def heard(sentence: str, program: Program) -> str | None:
    """The short answer that the sentence gives to a program's question; None: it gives none."""
    text = sentence.strip()
    if "알 수 없" in text:
        return CANNOT_TELL
    last = program[-1]
    if last.op in _YES_OR_NO:
        return YES if text.startswith("네") else NO if text.startswith("아니") else None
    if last.op == "count":
        return _count(text)
    if last.op == "side":
        sides = ("left", "right") if last.args.get("axis") == "across" else ("front", "behind")
        return _named(text, {side: "|".join(SIDE_WORDS[side]) for side in sides}, last_one=True)
    if last.op == "most":
        if "같" in text:
            return NAMES["equal"]
        return _named(text, {v: _pattern(v) for v in last.args.values()}, last_one=False)
    if last.op == "query":
        return _named(text, {v: _pattern(v) for v in VALUES[last.args["attribute"]]}, last_one=True)
    return None


def _count(text: str) -> str | None:
    if said := _COUNTED.findall(text):
        number = said[-1]
        return f"{number if number.isdigit() else COUNTS.index(number)}개"
    return "0개" if _NONE.search(text) else None


def _pattern(value: str) -> str:
    return _SIZES.get(value) or "|".join(map(re.escape, sorted(words_for(value), key=len, reverse=True)))


def _named(text: str, patterns: dict[str, str], last_one: bool) -> str | None:
    """The value that is mentioned last (or first)."""
    places = [(match.start(), match.end(), value) for value, p in patterns.items() for match in re.finditer(p, text)]
    if not places:
        return None
    if last_one:
        return NAMES[max(places, key=lambda place: (place[1], -place[0]))[2]]
    return NAMES[min(places, key=lambda place: (place[0], -place[1]))[2]]
