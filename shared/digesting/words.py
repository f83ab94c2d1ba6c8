"""What the words of an article are: stems for likeness, and names of things for keywords. Pure; morphemes come from
Kiwi (shared/text/morphemes.py), one list for each item of the article."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.digesting.article import Article
from shared.text.english import COMMON
from shared.text.morphemes import Morpheme

_NOUNS = ("NNG", "NNP", "XPN", "XSN", "XR")
_VERBS = ("VV", "VA")
_FOREIGN = "SL"
_NAME = re.compile(r"(?<![A-Za-z0-9_./@$-])[A-Za-z][A-Za-z0-9_.+#-]*[A-Za-z0-9_+#]")
_LONGEST_NAME = 40  # characters
# Nouns that every article has, and that name nothing of its own.
_EMPTY = (
    "경우 때문 다음 사용 이용 활용 방법 방식 부분 내용 정도 사람 생각 이유 문제 예제 예시 결과 과정 "
    "상황 필요 가능 작업 처리 기능 설명 확인 제공 포함 추가 수정 변경 생성 실행 작성 적용 구현 동작 "
    "진행 시작 종료 이해 학습 공부 사용자 개발자 글 문서 장 절 그림 아래 위 앞 뒤 안 밖 이번 지금 "
    "여기 오늘 이후 이전 최근 현재 전체 일부 대부분 하나 여러 각각 모두 자체 이름 값 수 것 등 때 시간 "
    "의미 목적 특징 장점 단점 종류 형태 구조 상태 관계 도움 역할 수준 기준 조건 설정 선택 존재 발생 "
    "해결 완료 호출 반환 참고 소개 정리 연구 연구진 연구팀 교수 박사 기자 설계 정보 기술 분야 가지 번째 "
    "이상 이하 동안 최소 최대 처음 마지막 보통 일반 기본 추천 질문 답변 인터뷰 질의 테스트 "
)
_EMPTY_NOUNS = frozenset(_EMPTY.split())


@dataclass(frozen=True, slots=True)
class Name:
    """What something is called: as it is written in `text[start:end]` of an item. `key` is the same for all its
    spellings; `is_foreign`: in Latin letters."""

    key: str
    text: str
    start: int
    is_foreign: bool


def stems_of(morphemes: Sequence[Morpheme]) -> list[str]:
    """Nouns, verbs and foreign words that say something, without case."""
    found = []
    for each in morphemes:
        if each.tag == _FOREIGN:
            word = each.form.casefold().strip(".")
            if len(word) > 1 and word not in COMMON:
                found.append(word)
        elif each.tag in _NOUNS or each.tag.startswith(_VERBS) or each.tag == "SN":
            found.append(each.form)
    return found


def names_of(text: str, morphemes: Sequence[Morpheme]) -> Iterator[Name]:
    """Neighbouring nouns without a space between them are one; foreign words stand for themselves."""
    for start, end in _noun_runs(morphemes):
        word = text[start:end]
        if 2 <= len(word) <= _LONGEST_NAME and word not in _EMPTY_NOUNS:
            yield Name(word, word, start, is_foreign=False)
    for match in _NAME.finditer(text):
        word = match[0]
        if len(word) <= _LONGEST_NAME and word.casefold() not in COMMON:
            yield Name(word.casefold(), word, match.start(), is_foreign=True)


def pairs_of(text: str, found: Sequence[Name]) -> Iterator[Name]:
    """Every two neighbours with one space between them as one (부동 소수점)."""
    for one, other in itertools.pairwise(sorted(found, key=lambda name: name.start)):
        end = one.start + len(one.text)
        if other.start == end + 1 and text[end] == " ":
            whole = text[one.start : other.start + len(other.text)]
            yield Name(f"{one.key} {other.key}", whole, one.start, one.is_foreign)


def names(article: Article, morphemes: Sequence[Sequence[Morpheme]]) -> list[list[Name]]:
    """Of each item."""
    return [list(names_of(item.text, each)) for item, each in zip(article.items, morphemes, strict=True)]


def _noun_runs(morphemes: Sequence[Morpheme]) -> Iterator[tuple[int, int]]:
    begin = end = -1
    for each in morphemes:
        if each.tag in _NOUNS and each.start == end:
            end = each.end
            continue
        if begin >= 0:
            yield begin, end
        begin, end = (each.start, each.end) if each.tag in _NOUNS and each.tag != "XSN" else (-1, -1)
    if begin >= 0:
        yield begin, end
