"""What an answer claims, and which passages bear it out."""

from __future__ import annotations

import pytest

from shared.text.claims import Wording, borne_out_by, claims_in
from shared.text.morphemes import analysed

PASSAGES = (
    "버들 하천의 길이는 42킬로미터이다. 상류에는 수달이 산다.",
    "솔바람 축제는 해마다 시월에 열린다. 입장료는 칠천 원이다.",
)
QUESTION = "버들 하천의 길이는 얼마인가요?"


def wording(text: str) -> Wording:
    return Wording.of(text, analysed(text))


def sources_of(claim: str, said: tuple[int, ...] = (), question: str = QUESTION) -> tuple[int, ...]:
    return borne_out_by(wording(claim), said, wording(question), [wording(each) for each in PASSAGES])


@pytest.mark.parametrize(
    ("answer", "claims"),
    [
        (
            "길이는 42킬로미터입니다.[1] 수달이 삽니다 [1, 2].",
            [("길이는 42킬로미터입니다.", (1,)), ("수달이 삽니다.", (1, 2))],
        ),
        (
            "길이는 42킬로미터입니다. [1] 수달이 삽니다. [2][1]",
            [("길이는 42킬로미터입니다.", (1,)), ("수달이 삽니다.", (2, 1))],
        ),
        ("길다.[1]수달이 산다.", [("길다.", (1,)), ("수달이 산다.", ())]),
        ("**길이는 42킬로미터입니다.** 수달이 삽니다.", [("**길이는 42킬로미터입니다.**", ()), ("수달이 삽니다.", ())]),
        ("# 제목\n\n다음과 같습니다:\n- 하나 [2]\n- 둘\n\n| 표 | 칸 |\n|---|---|", [("- 하나", (2,)), ("- 둘", ())]),
        ("```\nlist[1] = 2.\n```\n끝입니다.", [("끝입니다.", ())]),
        ("[1](https://example.org)을 보세요.", [("[1](https://example.org)을 보세요.", ())]),
        ("", []),
    ],
)
def test_sentences_claim_something_and_lose_their_references(
    answer: str, claims: list[tuple[str, tuple[int, ...]]]
) -> None:
    found = claims_in(answer)

    assert [(text, claim.said) for text, claim in zip(found.texts, found.claims, strict=True)] == claims


def test_a_claim_is_borne_out_whatever_number_the_model_gave_it() -> None:
    claim = "버들 하천은 길이가 42킬로미터입니다."

    assert sources_of(claim, (1,)) == sources_of(claim, (2,)) == sources_of(claim, (9,)) == sources_of(claim) == (1,)


@pytest.mark.parametrize(
    "claim",
    [
        "버들 하천의 길이는 24킬로미터입니다.",
        "버들 하천에는 Otter가 삽니다.",
        "버들 하천의 상류에는 서울대학교가 있습니다.",
        "버들 하천은 홍수가 잦아서 둑을 높이 쌓았습니다.",
    ],
)
def test_what_no_passage_says_is_borne_out_by_none(claim: str) -> None:
    assert sources_of(claim, (1, 2)) == ()


def test_words_of_the_question_are_free_but_its_numbers_are_not() -> None:
    asked = "2024년 버들 하천의 길이는?"

    assert sources_of("버들 하천의 길이는 42킬로미터입니다.", question=asked) == (1,)
    assert sources_of("2024년 버들 하천의 길이는 42킬로미터입니다.", question=asked) == ()
    assert sources_of("솔바람 축제의 입장료는 칠천 원입니다.", question="솔바람 축제는 얼마인가요?") == (2,)


def test_what_says_nothing_cannot_be_looked_up() -> None:
    assert not wording("네, 그렇습니다.").says_something
    assert wording("수달이 삽니다.").says_something


def test_numbers_are_the_same_with_and_without_a_comma() -> None:
    assert wording("1,200명이 왔다.").numbers == wording("1200명이 왔다.").numbers == {"1200"}
