"""What in a text may point to a person: resident numbers, telephone numbers, e-mail, cards, bank accounts.

It looks for patterns only: names and addresses of houses it does not know. A resident number must hold a date, a card
number its check digit (Luhn), an account a word of banking nearby; otherwise dates and order numbers would drown them.
Nothing found is ever shown whole: use `masked`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

NEARBY = 30  # characters around an account in which banking is spoken of
SHOWN = 2  # letters and digits of a find that stay readable

_DASH = r"[\-.‐‑‒–—−]"
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}")
# No \b: a Korean particle may follow a number without a space, and counts as part of the word.
_RESIDENT = re.compile(rf"(?<!\d)(\d{{2}})(\d{{2}})(\d{{2}})\s?{_DASH}?\s?([1-8])\d{{6}}(?!\d)")
_CARD = re.compile(
    rf"(?<![\d.,-])(?:\d{{4}}(?:{_DASH}|\s)?){{3}}\d{{1,4}}(?![\d-])"
    rf"|(?<![\d.,-])3[47]\d{{2}}(?:{_DASH}|\s)?\d{{6}}(?:{_DASH}|\s)?\d{{5}}(?![\d-])"
)
_PHONE = re.compile(
    rf"(?<![\d-])(?:\+82[\s)]?{_DASH}?\s?\(?0?|\(?0)"
    rf"(?:1[016789]|2|[3-6][1-5]|70|50\d)\)?\s?{_DASH}?\s?\d{{3,4}}\s?{_DASH}?\s?\d{{4}}(?![\d-])"
)
_ACCOUNT = re.compile(rf"(?<![\d.,-])\d{{2,6}}(?:{_DASH}\d{{2,7}}){{1,3}}(?![\d-])|(?<![\d.,-])\d{{10,14}}(?![\d-])")
_BANKING = re.compile(
    r"계좌|은행|예금주|입금|송금|이체|농협|수협|신협|우체국|새마을금고|뱅크|account|bank", re.IGNORECASE
)


class Kind(StrEnum):
    """What was found."""

    RESIDENT = "resident_number"
    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    ACCOUNT = "account"


@dataclass(frozen=True)
class Find:
    """One find; `text` is the personal thing itself."""

    kind: Kind
    text: str

    @property
    def masked(self) -> str:
        """Its form, and its first letters or digits: `01*-****-****`."""
        seen = 0
        shown = []
        for character in self.text:
            seen += character.isalnum()
            shown.append("*" if character.isalnum() and seen > SHOWN else character)
        return "".join(shown)


def find_pii(text: str) -> list[Find]:
    """Every find in a text, each stretch of it as one kind only. Full-width digits count, too."""
    text = unicodedata.normalize("NFKC", text)
    found = []
    for kind, pattern in _PATTERNS:
        for match in list(pattern.finditer(text)):
            if _is_meant(kind, match):
                found.append(Find(kind, match[0]))
                text = text[: match.start()] + "\x00" * len(match[0]) + text[match.end() :]
    return found


_PATTERNS = (
    (Kind.EMAIL, _EMAIL),
    (Kind.RESIDENT, _RESIDENT),
    (Kind.CARD, _CARD),
    (Kind.PHONE, _PHONE),
    (Kind.ACCOUNT, _ACCOUNT),
)


def _is_meant(kind: Kind, match: re.Match[str]) -> bool:
    if kind is Kind.RESIDENT:
        year, month, day, century = (int(part) for part in match.groups())
        return _is_date((2000 if century in (3, 4, 7, 8) else 1900) + year, month, day)
    digits = [int(c) for c in _digits(match[0])]
    if kind is Kind.CARD:
        return 13 <= len(digits) <= 16 and len(set(digits)) > 1 and _luhn(digits) % 10 == 0
    if kind is Kind.ACCOUNT:
        around = match.string[max(0, match.start() - NEARBY) : match.end() + NEARBY]
        return 10 <= len(digits) <= 14 and _BANKING.search(around) is not None
    return True


def _digits(text: str) -> Iterator[str]:
    return (character for character in text if character.isdecimal())


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _luhn(digits: list[int]) -> int:
    """The sum of ISO/IEC 7812-1: every second digit from the right counts twice, its own digits added."""
    return sum(digits[::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
