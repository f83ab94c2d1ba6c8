"""Files of conversations, ours and others', whatever is wrong with some of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.organising_errors import ImportUnreadable
from web.organising.foreign_files import MOST_CHARACTERS, ForeignConversation, Unusable, read_file


def _read(value: Any) -> list[ForeignConversation | Unusable]:
    return read_file(json.dumps(value).encode())


def _one(value: Any) -> ForeignConversation:
    (found,) = _read(value)
    assert isinstance(found, ForeignConversation), found
    return found


def _node(key: str, parent: str | None, role: str, *parts: Any, kind: str = "text", **more: Any) -> dict[str, Any]:
    content = {"content_type": kind, "parts": list(parts)}
    message = {"id": key, "author": {"role": role}, "content": content, "create_time": 1_700_000_000.5, **more}
    return {key: {"id": key, "parent": parent, "children": [], "message": message}}


def _chatgpt(*nodes: dict[str, Any], current: str, **more: Any) -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "parent": None, "children": [], "message": None}}
    for node in nodes:
        mapping |= node
    head = {"conversation_id": "c1", "title": "바다", "create_time": 1_700_000_000.0}
    return {**head, "mapping": mapping, "current_node": current, **more}


def test_chatgpt_tree_becomes_turns_with_its_branches() -> None:
    found = _one(
        [
            _chatgpt(
                _node("s", "root", "system", ""),
                _node("u1", "s", "user", "바다가 뭐야?"),
                _node("a1", "u1", "assistant", "물이에요."),
                _node("a2", "u1", "assistant", "넓은 물이에요."),
                _node("t", "a2", "tool", "검색 결과"),
                _node("a3", "t", "assistant", "짠물이고요."),
                _node("u2", "a3", "user", {"asset_pointer": "file-service://x"}, "이 사진은?", kind="multimodal_text"),
                current="u2",
            )
        ]
    )

    assert [(turn.key, turn.follows, turn.question, turn.answer) for turn in found.turns] == [
        ("a1", None, "바다가 뭐야?", "물이에요."),
        ("a3", None, "바다가 뭐야?", "넓은 물이에요.\n\n짠물이고요."),
        ("u2", "a3", "이 사진은?", ""),
    ]
    assert (found.key, found.title, found.leaf, found.pictures) == ("c1", "바다", "u2", 1)
    assert found.created_at is not None and found.created_at.year == 2023


def test_chatgpt_thoughts_code_for_tools_and_hidden_messages_are_left_out() -> None:
    found = _one(
        [
            _chatgpt(
                _node("h", "root", "user", "나는 개발자", metadata={"is_visually_hidden_from_conversation": True}),
                _node("u", "h", "user", "안녕?"),
                _node("k", "u", "assistant", "생각 중", kind="thoughts"),
                _node("c", "k", "assistant", "search('x')", recipient="web"),
                _node("a", "c", "assistant", "안녕하세요."),
                current="a",
            )
        ]
    )

    assert [(turn.question, turn.answer) for turn in found.turns] == [("안녕?", "안녕하세요.")]


def test_open_webui_history_becomes_turns() -> None:
    messages = {
        "u1": {"id": "u1", "parentId": None, "role": "user", "content": "안녕?", "timestamp": 1_700_000_000},
        "a1": {"id": "a1", "parentId": "u1", "role": "assistant", "content": "네.", "model": "gemma:2b"},
        "a2": {"id": "a2", "parentId": "u1", "role": "assistant", "content": "안녕하세요.", "model": "gemma:7b"},
    }
    chat = {"title": "인사", "history": {"messages": messages, "currentId": "a2"}}
    found = _one([{"id": "w1", "chat": chat, "created_at": 1_700_000_000}])

    assert [(turn.answer, turn.model) for turn in found.turns] == [("네.", "gemma:2b"), ("안녕하세요.", "gemma:7b")]
    assert (found.source, found.key, found.title, found.leaf) == ("open_webui", "w1", "인사", "a2")


def test_bad_conversations_cost_themselves_only() -> None:
    good = _chatgpt(_node("u", "root", "user", "안녕?"), _node("a", "u", "assistant", "네."), current="없음")
    ring = _chatgpt(_node("x", "y", "user", "가"), _node("y", "x", "assistant", "나"), current="x", title="고리")
    empty = _chatgpt(current="root", title="빈 것")
    long = _chatgpt(_node("u", "root", "user", "가" * (MOST_CHARACTERS + 1)), current="u", title="긴 것")
    broken = {"title": "깨진 것", "mapping": {"a": 3}}
    found = _read([good, ring, empty, long, broken, 7, None, {"title": 3}])

    assert isinstance(found[0], ForeignConversation) and found[0].leaf == "a"
    assert found[1:] == [
        Unusable("고리", "empty"),
        Unusable("빈 것", "empty"),
        Unusable("긴 것", "too_long"),
        Unusable("깨진 것", "shape"),
        *[Unusable("", "shape")] * 3,
    ]


def test_ours_must_be_a_tree() -> None:
    at = "2026-01-02T03:04:05+09:00"
    turn = {"id": "b", "follows": "a", "question": "가", "asked_at": at}

    def file(*turns: dict[str, Any]) -> dict[str, Any]:
        row = {"id": "c", "created_at": at, "turns": turns}
        return {"format": "nunmal.conversations", "version": 1, "conversations": [row]}

    found = _one(file(turn, {**turn, "id": "a", "follows": None}))
    assert [each.key for each in found.turns] == ["a", "b"]
    for follows in ("b", "z"):
        assert _read(file(turn, {**turn, "id": "a", "follows": follows})) == [Unusable("", "shape")]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"{", b"[]", b"7", b'"x"', b'[{"a": 1}]', b"[" * 100_000, b'{"format": "other"}']
)
def test_other_files_are_refused_whole(data: bytes) -> None:
    with pytest.raises(ImportUnreadable):
        read_file(data)


def test_a_conversation_without_an_id_is_known_by_its_words() -> None:
    messages = {
        "u": {"role": "user", "content": "안녕?"},
        "a": {"parentId": "u", "role": "assistant", "content": "네."},
    }
    first, again = (_one([{"chat": {"history": {"messages": messages}}}]) for _ in range(2))

    assert first.key == again.key != ""
