"""Pictures over HTTP: uploaded, shown to their owner alone, named in questions, refused with a sentence."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from typing import Any

import pytest
from PIL import Image
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.evidence import Evidence, EvidenceObject, PictureEvidence
from shared.ids import new_id
from shared.store import Store
from tests.multipart import CONTENT_TYPE, Part, multipart
from tests.picture_files import animated, bomb, cmyk, photo, png
from tests.web_visitor import WebVisitor, parse_events, web_settings
from web.app import create_app
from web.pictures.service import MOST_PER_MESSAGE

LANE = "chat.test"
JSON = {"Accept": "application/json", "Content-Type": CONTENT_TYPE}
BAD = {
    "text named png": ("글.png", "안녕하세요".encode(), "PNG, JPEG, WebP, HEIC"),
    "bomb": ("큰.png", bomb(), "50000×50000"),
    "cut short": ("사진.jpg", photo()[:-200], "깨졌거나"),
    "animated": ("춤.webp", animated("WEBP"), "움직이는"),
    "for print": ("인쇄.jpg", cmyk(), "CMYK"),
    "empty": ("빈.png", b"", "빈 파일"),
    "too large": ("무거운.png", png() + bytes(10 << 20), "10MB"),
}


async def upload(person: WebVisitor, data: bytes, alt: str = "", name: str = "사진.png") -> tuple[int, dict[str, Any]]:
    """As the page's script does it: the status, and what the JSON says."""
    parts: list[Part] = [("csrf_token", person.csrf_token), ("alt", alt), ("picture", name, data)]
    body = multipart(parts)
    headers = JSON | {"Content-Length": str(len(body))}
    response = await person.client.post("/chat/pictures", data=body, headers=headers)
    return response.status_code, json.loads(await response.get_data(as_text=True))


async def picture_of(person: WebVisitor, data: bytes | None = None, alt: str = "") -> str:
    """The id of a new picture."""
    status, said = await upload(person, png() if data is None else data, alt)
    assert status == 201, said
    return str(said["id"])


async def send(person: WebVisitor, message: str, *parts: Part, path: str = "/chat", **fields: str) -> int:
    """The composer's form with more parts, as it is sent without scripts; the status."""
    own = {"csrf_token": person.csrf_token, "generation_id": person.generation_id, "message": message} | fields
    response = await person.post_raw(path, multipart([*own.items(), *parts]), CONTENT_TYPE)
    if response.status_code == 303:
        await person.get(response.location or "")
    return response.status_code


async def questions(store: Store) -> list[Generation]:
    rows = await store._database["generations"].find({}, {"_id": 1}).to_list(None)
    found = await store.generations.get_many(str(row["_id"]) for row in rows)
    return [found[key] for key in sorted(found)]


async def kept(store: Store) -> tuple[int, int]:
    """How many pictures and blobs there are."""
    database = store._database
    return await database["pictures"].count_documents({}), await database["blobs"].count_documents({})


async def test_a_picture_is_uploaded_and_comes_back_clean(person: WebVisitor) -> None:
    status, said = await upload(person, photo(6), alt="  우리 고양이 ")

    assert status == 201
    assert set(said) == {"id", "width", "height", "url", "thumbnail_url", "alt"}
    assert (said["width"], said["height"], said["alt"]) == (48, 64, "우리 고양이")
    for url in (said["url"], said["thumbnail_url"]):
        response = await person.client.get(url)
        data = await response.get_data(as_text=False)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "image/jpeg"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert response.headers["Content-Disposition"].startswith("inline; filename=")
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert Image.open(io.BytesIO(data)).size == (48, 64)
        assert not Image.open(io.BytesIO(data)).getexif()


async def test_the_same_picture_twice_is_one_blob(person: WebVisitor, store: Store) -> None:
    first, second = await picture_of(person), await picture_of(person)

    assert first != second
    assert await kept(store) == (2, 2)


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_file_gets_a_korean_sentence_and_nothing_is_stored(
    person: WebVisitor, store: Store, bad: str
) -> None:
    name, data, expected = BAD[bad]
    status, said = await upload(person, data, name=name)

    assert status in (413, 422)
    assert said["code"].startswith("picture_")
    assert expected in said["message"]
    assert await kept(store) == (0, 0)


@pytest.mark.parametrize("bad", BAD)
async def test_without_scripts_too_and_what_was_typed_stays(person: WebVisitor, store: Store, bad: str) -> None:
    name, data, expected = BAD[bad]
    status = await send(person, "이게 뭐예요?", ("pictures", "좋은.png", png()), ("pictures", name, data))

    assert status in (413, 422)
    assert expected in person.page
    assert "이게 뭐예요?" in person.page
    assert await kept(store) == (0, 0)
    assert await questions(store) == []


async def test_a_question_shows_pictures_that_were_uploaded_before(person: WebVisitor, store: Store) -> None:
    ids = [await picture_of(person, png(seed=seed), alt=f"그림 {seed}") for seed in range(MOST_PER_MESSAGE)]
    assert await send(person, "무엇이 다른가요?", *[("picture", each) for each in reversed(ids)]) == 303

    (asked,) = await questions(store)
    assert asked.question == "무엇이 다른가요?"
    assert [picture.id for picture in asked.pictures] == ids[::-1]
    for picture in asked.pictures:
        assert await store.blobs.get(picture.sha256)
    assert re.findall(r'src="/chat/pictures/([^/"]+)"', person.page) == ids[::-1]
    assert 'width="64" height="48"' in person.page
    assert 'alt="그림 3"' in person.page


async def test_what_a_picture_is_called_goes_with_the_message(person: WebVisitor, store: Store) -> None:
    named, kept_name = await picture_of(person, alt="상자"), await picture_of(person, png(seed=1), alt="공")
    pictures: list[Part] = [("picture", named), ("picture", kept_name)]
    assert await send(person, "뭐예요?", *pictures, (f"alt.{named}", " 큰 상자\x00")) == 400
    assert "쓸 수 없는 글자가 들어 있어요" in person.page
    assert await send(person, "뭐예요?", *pictures, (f"alt.{named}", " 큰 상자 ")) == 303

    (asked,) = await questions(store)
    assert [picture.alt for picture in asked.pictures] == ["큰 상자", "공"]
    assert 'alt="큰 상자"' in person.page


async def test_files_in_the_form_itself_need_no_scripts(person: WebVisitor, store: Store) -> None:
    files: list[Part] = [("pictures", "a.png", png(seed=1)), ("pictures", "b.jpg", photo()), ("pictures", "", b"")]
    assert await send(person, "둘 다 봐 주세요", *files) == 303

    (asked,) = await questions(store)
    assert len(asked.pictures) == 2


async def test_the_form_without_files_works_as_before_in_both_encodings(person: WebVisitor, store: Store) -> None:
    assert await send(person, "안녕?", ("pictures", "", b"")) == 303
    await person.get("/chat")
    await person.ask("또 안녕?")

    assert [turn.question for turn in await questions(store)] == ["안녕?", "또 안녕?"]


async def test_pictures_alone_ask_what_is_in_them(person: WebVisitor, store: Store) -> None:
    assert await send(person, "  ", ("picture", await picture_of(person))) == 303

    assert [turn.question for turn in await questions(store)] == ["이 그림에 무엇이 있나요?"]


async def test_nothing_at_all_is_still_refused(person: WebVisitor, store: Store) -> None:
    assert await send(person, " ") == 422
    assert await questions(store) == []


async def test_others_see_nothing_of_it(app: Quart, person: WebVisitor, store: Store) -> None:
    picture_id = await picture_of(person)
    other, anybody = WebVisitor(app), WebVisitor(app)
    await other.sign_up()

    for path in (f"/chat/pictures/{picture_id}", f"/chat/pictures/{picture_id}/thumbnail"):
        assert (await other.client.get(path)).status_code == 404
        assert (await anybody.client.get(path)).status_code == 303
    assert await send(other, "이게 뭐예요?", ("picture", picture_id)) == 422
    assert "찾을 수 없어요" in other.page
    assert "이게 뭐예요?" in other.page
    assert await questions(store) == []


@pytest.mark.parametrize("named", ["00000000-0000-7000-8000-000000000000", "../../etc/passwd", "", "한글"])
async def test_an_unknown_picture_is_refused_beside_one_that_is_kept(
    person: WebVisitor, store: Store, named: str
) -> None:
    mine = await picture_of(person)
    assert await send(person, "봐 주세요", ("picture", mine), ("picture", named)) == 422

    assert "찾을 수 없어요" in person.page
    assert re.findall(r'name="picture" value="([^"]+)"', person.page) == [mine]
    assert await questions(store) == []


async def test_a_fifth_picture_is_refused_and_four_stay(person: WebVisitor, store: Store) -> None:
    ids = [await picture_of(person, png(seed=seed)) for seed in range(4)]
    parts: list[Part] = [("picture", each) for each in ids]
    assert await send(person, "다섯 장이에요", *parts, ("pictures", "e.png", png(seed=9))) == 422

    assert "4장까지" in person.page
    assert re.findall(r'name="picture" value="([^"]+)"', person.page) == ids
    assert (await kept(store))[0] == 4


async def test_what_was_uploaded_stays_in_the_form_when_the_text_is_refused(person: WebVisitor) -> None:
    mine = await picture_of(person)
    assert await send(person, "가" * 9000, ("picture", mine)) == 413

    assert re.findall(r'name="picture" value="([^"]+)"', person.page) == [mine]


async def test_the_same_form_twice_is_one_question(person: WebVisitor, store: Store) -> None:
    fields = {"generation_id": new_id()}
    mine = await picture_of(person)
    for _ in range(2):
        assert await send(person, "한 번만요", ("picture", mine), **fields) == 303

    assert len(await questions(store)) == 1


async def test_a_form_from_elsewhere_is_refused(person: WebVisitor, store: Store) -> None:
    parts: list[Part] = [("csrf_token", "x"), ("picture", "a.png", png())]
    response = await person.client.post("/chat/pictures", data=multipart(parts), headers=JSON)

    assert response.status_code == 403
    assert (await response.get_json())["code"] == "csrf_failed"
    assert await kept(store) == (0, 0)


async def test_whoever_is_not_logged_in_is_told_so_in_json(visitor: WebVisitor) -> None:
    status, said = await upload(visitor, png())

    assert (status, said["code"]) == (401, "login_required")


async def test_a_plain_form_gets_a_page(person: WebVisitor) -> None:
    parts: list[Part] = [("csrf_token", person.csrf_token), ("picture", "a.png", b"")]
    response = await person.post_raw("/chat/pictures", multipart(parts), CONTENT_TYPE)

    assert response.status_code == 422
    assert "빈 파일이에요" in person.page


@pytest.mark.parametrize("sees", [True, False])
async def test_a_model_without_eyes_is_known_before_anything_is_kept(app: Quart, store: Store, sees: bool) -> None:
    await store.workers.beat("w", LANE, "test", "digest", 4, 0, sees=sees)
    person = WebVisitor(app)
    await person.sign_up()
    status, said = await upload(person, png())
    assert (status == 201) is sees
    assert await send(person, "이게 뭐예요?", ("pictures", "a.png", png())) == (303 if sees else 422)

    if not sees:
        assert said == {"code": "pictures_unsupported", "message": "이 모델은 사진을 볼 수 없어요."}
        assert "이게 뭐예요?" in person.page
        assert await kept(store) == (0, 0)
        assert await questions(store) == []


async def test_one_person_can_keep_so_many(store: Store, memory_broker: MemoryBroker) -> None:
    limits = {"bcrypt_rounds": 4, "pictures_per_user": 2}
    app = create_app(web_settings(web=limits), memory_broker, store, node_id="node")
    async with app.test_app():
        person = WebVisitor(app)
        await person.sign_up()
        for seed in range(2):
            await picture_of(person, png(seed=seed))
        status, said = await upload(person, png(seed=3))

    assert (status, said["code"]) == (422, "pictures_full")
    assert (await kept(store))[0] == 2


async def test_a_deleted_conversation_takes_its_pictures_along_and_no_others(
    app: Quart, person: WebVisitor, store: Store
) -> None:
    other = WebVisitor(app)
    await other.sign_up()
    both, mine, unused = png(seed=1), png(seed=2), png(seed=3)
    theirs = await picture_of(other, both)
    await send(other, "저도 있어요", ("picture", theirs))
    ids = [await picture_of(person, data) for data in (both, mine)]
    waiting = await picture_of(person, unused)
    assert await send(person, "지울 거예요", *[("picture", each) for each in ids]) == 303
    conversation = person.stream_url.partition("/stream")[0]
    assert (await person.post(f"{conversation}/delete")).status_code == 303

    for gone in ids:
        assert (await person.client.get(f"/chat/pictures/{gone}")).status_code == 404
    assert (await person.client.get(f"/chat/pictures/{waiting}")).status_code == 200
    assert (await other.client.get(f"/chat/pictures/{theirs}")).status_code == 200
    assert await kept(store) == (2, 4)


async def test_evidence_comes_before_the_end_of_its_answer_and_again_after_it(person: WebVisitor, store: Store) -> None:
    picture_id = await picture_of(person)
    await send(person, "공이 몇 개예요?", ("picture", picture_id))
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None
    ball = EvidenceObject(number=1, box=(0.1, 0.2, 0.5, 0.6), name="빨간 공", used=True)
    evidence = Evidence(source="program", pictures=(PictureEvidence(picture_id=picture_id, objects=(ball,)),))
    await store.generations.finish(
        claimed.id, claimed.attempt, GenerationState.DONE, [1], "한 개예요.", evidence=evidence
    )

    for _ in range(2):
        response = await person.client.get(person.stream_url)
        events = parse_events(await response.get_data(as_text=True))
        assert [event.name for event in events][-2:] == ["evidence", "done"]
        drawn = events[-2].data.pop("html")
        assert "빨간 공" in drawn
        assert f'href="/chat/pictures/{picture_id}"' in drawn
        assert events[-2].data == {
            "source": "program",
            "pictures": [
                {
                    "picture_id": picture_id,
                    "objects": [{"number": 1, "box": [0.1, 0.2, 0.5, 0.6], "name": "빨간 공", "used": True}],
                }
            ],
        }


async def test_a_download_holds_pictures_and_what_was_asked_beside_them(person: WebVisitor, store: Store) -> None:
    picture_id = await picture_of(person, photo(6), alt="고양이")
    await send(person, "무슨 색이에요?", ("picture", picture_id))
    await person.get("/account")
    response = await person.post("/account/download")
    taken = json.loads(await response.get_data(as_text=True))

    (picture,) = taken["pictures"]
    assert (picture["id"], picture["called"], picture["type"]) == (picture_id, "고양이", "image/jpeg")
    assert Image.open(io.BytesIO(base64.b64decode(picture["base64"]))).size == (48, 64)
    assert taken["conversations"][0]["turns"][0]["pictures"] == [picture_id]


@pytest.mark.parametrize("may_send", [True, False])
async def test_a_large_body_waits_for_who_may_send_it(app: Quart, person: WebVisitor, may_send: bool) -> None:
    """Nothing of it is received for somebody who is not logged in."""
    body = multipart([("csrf_token", person.csrf_token), ("picture", "a.png", png() + bytes(5 << 20))])
    session = next(cookie.value for cookie in person.client.cookie_jar or () if cookie.name == "nunmal_session")
    cookie = {"Cookie": f"nunmal_session={session}"} if may_send else {}
    headers = JSON | {"Content-Length": str(len(body)), "Host": "localhost"} | cookie
    scope: Any = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": "/chat/pictures"},
        **{"query_string": b"", "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)},
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    received, sent = 0, []

    async def receive() -> Any:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": body, "more_body": False} if received == 1 else await asyncio.Future()

    async def send(event: Any) -> None:
        sent.append(event)

    await app.asgi_http_class(app, scope)(receive, send)

    assert sent[0]["status"] == (201 if may_send else 401)
    assert bool(received) is may_send


async def test_more_large_bodies_of_one_person_at_once_are_told_to_wait(person: WebVisitor, store: Store) -> None:
    data = png() + bytes(3 << 20)
    answers = await asyncio.gather(*(upload(person, data) for _ in range(8)))

    assert sorted(status for status, _ in answers) == [201] * 6 + [503] * 2
    assert {said["code"] for status, said in answers if status == 503} == {"too_busy"}
