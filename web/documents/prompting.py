"""What a model is shown when it answers from documents: numbered passages, as many as there is room for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chat import Message, Role
from web.documents.answering import FoundPassage

NOTHING = "문서에 없는 내용입니다."

_TASK = (
    "아래는 문서에서 찾은 글입니다. 이 글에 있는 것만으로 질문에 답하세요. 문장마다 그 끝에 근거가 된 글의 번호를 "
    f"[1]처럼 붙이세요. 답이 글에 없으면 “{NOTHING}”라고만 쓰세요. 질문과 같은 언어로 답하세요."
)


def that_fit(passages: Sequence[FoundPassage], most_characters: int) -> list[FoundPassage]:
    """The best ones; the first in any case."""
    fitting: list[FoundPassage] = []
    left = most_characters
    for passage in passages:
        left -= len(passage.text)
        if fitting and left < 0:
            break
        fitting.append(passage)
    return fitting


def prompt_of(question: str, passages: Sequence[FoundPassage]) -> tuple[Message, ...]:
    """One message, because not every model is taught to hear the system."""
    shown = [
        f"[{number}] {each.source.name}, {each.source.page}쪽\n{each.text.strip()}"
        for number, each in enumerate(passages, 1)
    ]
    return (Message(Role.USER, "\n\n".join([_TASK, *shown, f"질문: {question}"])),)
