"""Personal things are found where they are, not where dates and sums are, and never shown whole."""

from __future__ import annotations

import pytest

from shared.text.pii import Find, Kind, find_pii


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("주민번호는900101-1234567이에요", Kind.RESIDENT, "900101-1234567"),
        ("0003054123456", Kind.RESIDENT, "0003054123456"),
        ("９００１０１－１２３４５６７", Kind.RESIDENT, "900101-1234567"),
        ("전화는010-1234-5678입니다", Kind.PHONE, "010-1234-5678"),
        ("01012345678", Kind.PHONE, "01012345678"),
        ("+82 10-1234-5678", Kind.PHONE, "+82 10-1234-5678"),
        ("(02) 123-4567", Kind.PHONE, "(02) 123-4567"),
        ("031.123.4567", Kind.PHONE, "031.123.4567"),
        ("메일은 hong.gil@mail.example.kr로", Kind.EMAIL, "hong.gil@mail.example.kr"),
        ("카드 4111 1111 1111 1111", Kind.CARD, "4111 1111 1111 1111"),
        ("4111-1111-1111-1111", Kind.CARD, "4111-1111-1111-1111"),
        ("3782 822463 10005", Kind.CARD, "3782 822463 10005"),
        ("국민은행 123456-04-123456로 보내 주세요", Kind.ACCOUNT, "123456-04-123456"),
        ("계좌 12345678901", Kind.ACCOUNT, "12345678901"),
    ],
)
def test_each_kind_is_found_next_to_korean_particles(text: str, kind: Kind, found: str) -> None:
    assert find_pii(text) == [Find(kind, found)]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-15에 만나요",
        "900231-1234567",  # no such day
        "901301-1234567",  # no such month
        "900101-9234567",  # no such century
        "4111 1111 1111 1112",  # wrong check digit
        "0000 0000 0000 0000",
        "주문 번호 123456-04-123456",  # nothing of banking nearby
        "3.141592653589793",
        "1,234,567,890원",
        "@홍길동 a@b",
        "123456789012345678901234567890",
        "",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert find_pii(text) == []


def test_several_finds_in_one_text_are_each_counted_once() -> None:
    found = find_pii("은행 계좌로 보내고 010-1234-5678, 010-8765-4321이나 a@b.kr로 알려 주세요")

    assert [find.kind for find in found] == [Kind.EMAIL, Kind.PHONE, Kind.PHONE]


@pytest.mark.parametrize(
    ("text", "masked"),
    [("010-1234-5678", "01*-****-****"), ("hong@mail.kr", "ho**@****.**"), ("900101-1234567", "90****-*******")],
)
def test_a_find_is_shown_masked(text: str, masked: str) -> None:
    assert find_pii(text)[0].masked == masked
