"""Conversations as files: out, back in, in from elsewhere, and never twice."""

from __future__ import annotations

import json
from typing import Any

from bs4 import BeautifulSoup
from quart import Quart, Response

from shared.chat import Generation, GenerationState, User
from shared.store import Store
from tests.factories import generation
from tests.multipart import CONTENT_TYPE, multipart
from tests.web_visitor import WebVisitor

_CHATGPT = [
    {
        "conversation_id": "c1",
        "title": "바다 이야기",
        "create_time": 1_700_000_000.0,
        "current_node": "a2",
        "mapping": {
            key: {
                "parent": parent,
                "message": {
                    "author": {"role": role},
                    "content": {"content_type": "text", "parts": [text]},
                    "create_time": 1_700_000_000.0,
                },
            }
            for key, parent, role, text in (
                ("u1", None, "user", "바다가 뭐야?"),
                ("a1", "u1", "assistant", "**물**이에요."),
                ("u2", "a1", "user", "더 말해 줘"),
                ("a2", "u2", "assistant", "짜요. <script>alert(1)</script>"),
            )
        },
    }
]


async def _user(store: Store) -> User:
    return sorted(await store.users.everyone(), key=lambda user: user.id)[0]


async def _turn(store: Store, user: User, question: str, answer: str, before: Generation | None = None) -> Generation:
    turn = generation(user_id=user.id, question=question, parent_id=before.id if before else None)
    conversation_id = before.conversation_id if before else turn.id
    turn = generation(
        id=turn.id,
        conversation_id=conversation_id,
        user_id=user.id,
        question=question,
        answer=answer,
        parent_id=turn.parent_id,
        state=GenerationState.DONE,
    )
    await store.generations.add(turn)
    return turn


async def _conversation(store: Store, user: User) -> Generation:
    """Its first turn: one question answered, and gone on with twice."""
    first = await _turn(store, user, "# 바다가\n<b>뭐야?</b>", "**물**이에요.")
    await _turn(store, user, "안 보이는 갈래", "네.", first)
    last = await _turn(store, user, "더 말해 줘", "짜요.", first)
    await store.conversations.create(first.id, user.id, "바다/이야기 ☆", last.id)
    await store.conversations.set_tags(first.id, user.id, ["여행"])
    return first


async def _bring(person: WebVisitor, data: bytes) -> Response:
    await person.get("/library/import")
    body = multipart([("csrf_token", person.csrf_token), ("file", "conversations.json", data)])
    return await person.post_raw("/library/import", body, CONTENT_TYPE)


def _rows(person: WebVisitor) -> list[list[str]]:
    page = BeautifulSoup(person.page, "html.parser")
    return [[cell.get_text() for cell in row.select("td")] for row in page.select(".result tbody tr")]


async def test_markdown_has_the_visible_branch_and_its_name(store: Store, person: WebVisitor) -> None:
    first = await _conversation(store, await _user(store))
    response = await person.client.get(f"/library/{first.id}/export.md")
    text = await response.get_data(as_text=True)

    assert text.startswith("# 바다/이야기 ☆\n")
    assert "> # 바다가\n> <b>뭐야?</b>\n" in text and "\n**물**이에요.\n" in text and "짜요." in text
    assert "안 보이는 갈래" not in text
    assert response.headers["Content-Disposition"].endswith(
        "filename*=UTF-8''%EB%B0%94%EB%8B%A4%20%EC%9D%B4%EC%95%BC%EA%B8%B0.md"
    )


async def test_json_has_the_whole_tree_and_comes_back_after_it_was_deleted(store: Store, person: WebVisitor) -> None:
    user = await _user(store)
    first = await _conversation(store, user)
    data = await (await person.client.get(f"/library/{first.id}/export.json")).get_data(as_text=False)
    value = json.loads(data)
    assert (value["format"], value["version"]) == ("nunmal.conversations", 1)
    questions = {turn["question"] for turn in value["conversations"][0]["turns"]}
    assert questions == {first.question, "안 보이는 갈래", "더 말해 줘"}

    await _bring(person, data)
    assert [row[1] for row in _rows(person)] == ["이미 있음"]
    await person.get(f"/chat/{first.id}/delete")
    await person.post(f"/chat/{first.id}/delete")
    for outcome, turns in (("새로 가져옴", "3"), ("이미 있음", "0")):
        await _bring(person, data)
        assert _rows(person) == [["바다/이야기 ☆", outcome, turns]]
    (back,) = await store.conversations.latest(user.id)
    assert back.tags == ("여행",) and back.id != first.id
    branch = await store.generations.branch(back.leaf_id or "", user.id)
    assert [turn.answer for turn in branch] == ["**물**이에요.", "짜요."]
    again = await (await person.client.get(f"/library/{back.id}/export.json")).get_data(as_text=False)
    assert len(json.loads(again)["conversations"][0]["turns"]) == 3


async def test_chatgpt_comes_in_once_and_grows_with_a_later_export(store: Store, person: WebVisitor) -> None:
    user, later = await _user(store), json.loads(json.dumps(_CHATGPT))
    await _bring(person, json.dumps(_CHATGPT).encode())
    assert _rows(person) == [["바다 이야기", "새로 가져옴", "2"]]
    (conversation,) = await store.conversations.latest(user.id)
    assert conversation.created_at.year == 2023
    await person.get(f"/chat/{conversation.id}")
    assert "<strong>물</strong>" in person.page and "<script>alert" not in person.page
    await person.get("/chat")

    said: Any = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["또?"]}}
    later[0]["mapping"]["u3"] = {"parent": "a2", "message": said}
    later[0]["current_node"] = "u3"
    for outcome, turns in (("이어진 답을 더함", "1"), ("이미 있음", "0")):
        await _bring(person, json.dumps(later).encode())
        assert _rows(person) == [["바다 이야기", outcome, turns]]
    (conversation,) = await store.conversations.latest(user.id)
    branch = await store.generations.branch(conversation.leaf_id or "", user.id)
    assert [turn.question for turn in branch] == ["바다가 뭐야?", "더 말해 줘", "또?"]
    assert await store.search.unindexed(10) != []

    await person.get(f"/chat/{conversation.id}")
    assert (await person.ask("여기서 이어 가요", f"/chat/{conversation.id}")).status_code == 303
    await _bring(person, json.dumps(later).encode())
    (again,) = await store.conversations.latest(user.id)
    assert again.leaf_id != conversation.leaf_id  # what was said here stays in sight


async def test_the_same_file_of_another_person_is_theirs(app: Quart, store: Store, person: WebVisitor) -> None:
    user = await _user(store)
    first = await _conversation(store, user)
    data = await (await person.client.get(f"/library/{first.id}/export.json")).get_data(as_text=False)
    other = WebVisitor(app)
    await other.sign_up("남")
    await _bring(other, data)

    assert [row[1:] for row in _rows(other)] == [["새로 가져옴", "3"]]
    assert [each.id for each in await store.conversations.latest(user.id)] == [first.id]
    assert (await other.client.get(f"/library/{first.id}/export.json")).status_code == 404
    assert (await other.client.get(f"/library/{first.id}/print")).status_code == 404


async def test_bad_files_and_rows_are_told(store: Store, person: WebVisitor) -> None:
    assert (await _bring(person, b"no json")).status_code == 422
    assert "아무것도 바뀌지 않았어요" in person.page
    assert (await _bring(person, b"")).status_code == 422
    assert "파일을 골라 주세요" in person.page

    marks: Any = {"parent": None, "message": {"author": {"role": "user"}, "content": {"content_type": "text"}}}
    marks["message"]["content"]["parts"] = ["e" + "\u0301" * 200]
    await _bring(person, json.dumps([*_CHATGPT, {"mapping": {"x": marks}}, {"title": "뭐지"}]).encode())
    assert [row[1] for row in _rows(person)] == ["새로 가져옴", "읽을 수 없는 형식", "읽을 수 없는 형식"]


async def test_an_import_too_many_has_to_wait(person: WebVisitor) -> None:
    statuses = [(await _bring(person, b"no json")).status_code for _ in range(7)]

    assert statuses[0] == 422 and statuses[-1] == 429
    assert "가져오기" in person.page


async def test_ticked_conversations_are_one_file(store: Store, person: WebVisitor) -> None:
    user = await _user(store)
    ids = [(await _conversation(store, user)).id for _ in range(2)]
    await person.get("/library")
    fields = "&".join([f"csrf_token={person.csrf_token}", "do=export", *(f"conversation={each}" for each in ids)])
    response = await person.post_raw("/library", fields.encode())

    assert response.content_type.startswith("application/json")
    value = json.loads(await response.get_data(as_text=True))
    assert [each["id"] for each in value["conversations"]] == ids


async def test_the_page_to_print_has_the_visible_branch(store: Store, person: WebVisitor) -> None:
    first = await _conversation(store, await _user(store))
    await person.get(f"/library/{first.id}/print")

    assert "&lt;b&gt;뭐야?&lt;/b&gt;" in person.page and "<strong>물</strong>" in person.page
    assert "안 보이는 갈래" not in person.page
