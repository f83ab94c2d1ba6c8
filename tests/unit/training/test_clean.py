"""Markdown becomes prose; abuse and noise go."""

from __future__ import annotations

import pytest

from training.data.clean import hangul_share, is_usable_review, korean_paragraphs, markdown_paragraphs

MARKDOWN = """---
title: 제목
---
# 함수 이야기 {#functions}

함수는 [값](http://a.kr)을 **돌려주는** `코드`입니다.
![그림](a.png)

```python
print("코드")
```

| 표 | 칸 |
|---|---|

- 첫째 항목입니다 <br> 그렇습니다
"""


def test_markdown_loses_code_tables_links_images_and_tags() -> None:
    assert markdown_paragraphs(MARKDOWN) == [
        "함수 이야기",
        "함수는 값을 돌려주는 코드입니다.",
        "첫째 항목입니다 그렇습니다",
    ]


def test_foreign_short_and_repeated_paragraphs_go() -> None:
    seen: set[str] = set()
    text = "이것은 한국어로 쓴 문단입니다."

    assert korean_paragraphs([text, "This is not Korean at all.", "짧다", text], seen) == [text]


def test_hangul_share_counts_letters_only() -> None:
    assert hangul_share("가나 ab 12!") == 0.5
    assert hangul_share("123") == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "재밌다",
        "이런 쓰레기 영화를 왜 만들었는지",
        "최고다 최고 ㅋㅋㅋㅋㅋㅋㅋㅋ 정말 재밌어요",
        "good movie, really good",
    ],
)
def test_abusive_or_noisy_review_is_dropped(text: str) -> None:
    assert not is_usable_review(text)


def test_plain_review_is_kept() -> None:
    assert is_usable_review("배우들의 연기가 좋아서 끝까지 재미있게 봤어요.")
