"""A snapshot behind a link: readable by whoever has it, until it is taken back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from quart import Quart

from shared.chat import GenerationState, PictureRef, User
from shared.store import Store
from tests.factories import generation
from tests.picture_files import png
from tests.web_visitor import WebVisitor
from web.organising import sharing

_ANSWER = "**바다**예요. <script>alert(1)</script>"


async def _user(store: Store) -> User:
    return sorted(await store.users.everyone(), key=lambda user: user.id)[0]


async def _say(store: Store, turn_id: str, answer: str) -> None:
    claimed = await store.generations.claim("chat.test", "w")
    assert claimed is not None and claimed.id == turn_id
    await store.generations.finish(turn_id, claimed.attempt, GenerationState.DONE, [1], answer)


async def _talked(store: Store, person: WebVisitor, question: str = "여기 어디야?") -> str:
    """The id of a conversation with one answer."""
    await person.get("/chat")
    conversation_id = ((await person.ask(question)).location or "").removeprefix("/chat/")
    await _say(store, conversation_id, _ANSWER)
    return conversation_id


async def _link(person: WebVisitor, conversation_id: str) -> str:
    """The path of a new link."""
    await person.get(f"/library/{conversation_id}")
    response = await person.post(f"/library/{conversation_id}/share")
    assert response.status_code == 200, person.page
    return str(re.findall(r'value="http://localhost(/shared/[\w-]{43})"', person.page)[0])


async def test_whoever_has_the_link_reads_the_snapshot_and_nothing_newer(
    app: Quart, store: Store, person: WebVisitor
) -> None:
    conversation_id = await _talked(store, person)
    path = await _link(person, conversation_id)
    await person.get(f"/chat/{conversation_id}")
    await person.ask("나중 질문", f"/chat/{conversation_id}")
    stranger = WebVisitor(app)
    response = await stranger.get(path)

    assert response.status_code == 200
    assert "여기 어디야?" in stranger.page and "<strong>바다</strong>" in stranger.page
    assert "나중 질문" not in stranger.page and "<script>alert" not in stranger.page
    assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_the_store_keeps_no_token(store: Store, person: WebVisitor) -> None:
    path = await _link(person, await _talked(store, person))
    kept = str(await store._database["shares"].find({}).to_list(None))

    assert path.rpartition("/")[2] not in kept
    await person.get("/library/links")
    assert path.rpartition("/")[2] not in person.page
    assert f"…{path[-4:]}" in person.page


async def test_a_link_taken_back_opens_nothing(app: Quart, store: Store, person: WebVisitor) -> None:
    path = await _link(person, await _talked(store, person))
    other = WebVisitor(app)
    await other.sign_up("남")
    await person.get("/library/links")
    revoke = re.findall(r'action="(/library/links/[^"]+/revoke)"', person.page)[0]
    assert (await other.post(revoke)).status_code == 404
    assert (await other.get(path)).status_code == 200

    assert (await person.post(revoke)).location == "/library/links"
    assert (await other.get(path)).status_code == 404
    assert (await person.post(revoke)).status_code == 404


async def test_links_go_with_their_conversation(store: Store, person: WebVisitor) -> None:
    deleted = await _talked(store, person)
    path = await _link(person, deleted)
    await person.get(f"/chat/{deleted}/delete")
    await person.post(f"/chat/{deleted}/delete")
    assert (await person.client.get(path)).status_code == 404

    old = await _talked(store, person)
    path = await _link(person, old)
    await store.personal.remove_conversations(datetime.now(UTC) + timedelta(days=1), 10)
    assert (await person.client.get(path)).status_code == 404


async def test_pictures_are_shown_under_the_link_only(app: Quart, store: Store, person: WebVisitor) -> None:
    user = await _user(store)
    data = png()
    kept = await store.pictures.add(user.id, data, b"thumbnail", mime="image/png", width=8, height=6, alt="모래밭")
    ref = PictureRef(kept.id, kept.sha256, 8, 6, "모래밭")
    turn = generation(user_id=user.id, pictures=(ref,))
    turn = generation(id=turn.id, conversation_id=turn.id, user_id=user.id, pictures=(ref,), lane="chat.test")
    await store.generations.add(turn)
    await store.conversations.create(turn.id, user.id, "사진", turn.id)
    await _say(store, turn.id, "모래예요.")
    path = await _link(person, turn.id)
    stranger = WebVisitor(app)
    await stranger.get(path)
    picture = re.findall(rf'<img src="({path}/pictures/[^"]+)"', stranger.page)[0]

    shown = await stranger.client.get(picture)
    assert await shown.get_data() == data
    assert (shown.content_type, shown.headers["X-Robots-Tag"]) == ("image/png", "noindex, nofollow")
    assert 'alt="모래밭"' in stranger.page
    assert (await stranger.client.get(f"/chat/pictures/{kept.id}")).status_code == 303  # to the log-in
    other_path = await _link(person, await _talked(store, person))
    assert (await stranger.client.get(f"{other_path}/pictures/{kept.id}")).status_code == 404


async def test_what_cannot_be_shared_is_said(
    app: Quart, store: Store, person: WebVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person.ask("아직 답이 없어?")
    (waiting,) = await store.conversations.latest((await _user(store)).id)
    await person.get(f"/library/{waiting.id}")
    assert (await person.post(f"/library/{waiting.id}/share")).status_code == 422
    assert "아직 끝난 답이 없어요" in person.page
    await _say(store, waiting.id, _ANSWER)
    other = WebVisitor(app)
    await other.sign_up("남")
    assert (await other.get(f"/library/{waiting.id}")).status_code == 404
    await other.get("/library")
    assert (await other.post(f"/library/{waiting.id}/share")).status_code == 404

    monkeypatch.setattr(sharing, "_MOST_BYTES", 8)
    await person.get(f"/library/{waiting.id}")
    assert (await person.post(f"/library/{waiting.id}/share")).status_code == 422
    assert "너무 길어요" in person.page
    monkeypatch.undo()
    monkeypatch.setattr(sharing, "MOST_SHARES", 1)
    await _link(person, waiting.id)
    assert (await person.post(f"/library/{waiting.id}/share")).status_code == 422
    assert "링크는 1개까지" in person.page


async def test_who_guesses_links_has_to_wait_and_who_has_one_does_not(
    app: Quart, store: Store, person: WebVisitor
) -> None:
    path = await _link(person, await _talked(store, person))
    stranger = WebVisitor(app)
    statuses = [(await stranger.client.get(f"/shared/{'x' * 43}")).status_code for _ in range(7)]

    assert statuses[:5] == [404] * 5
    assert statuses[-1] == 429
    assert (await stranger.client.get(path)).status_code == 200
