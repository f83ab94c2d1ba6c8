"""Pictures through /v1: data URLs in, kept as their owner's; nothing is fetched, nothing bad is stored."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Response

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, Role
from shared.store import Store
from tests.factories import LANE
from tests.integration.web.api.conftest import Program
from tests.picture_files import animated, bomb, cmyk, photo, png
from tests.scripted_worker import ScriptedWorker
from web.api.pictures import MOST_PER_REQUEST


def part(data: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}}


def named(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def asked(*content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"model": "test", "messages": [{"role": "user", "content": list(content)}]} | changes


TEXT = {"type": "text", "text": "이게 뭐예요?"}


async def send(program: Program, body: dict[str, Any], path: str = "/v1/chat/completions") -> Response:
    data = json.dumps(body).encode()
    return await program.post_raw(path, data, **{"Content-Length": str(len(data))})


@pytest.fixture
async def heard(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[list[Generation]]:
    """What a worker was asked."""
    heard: list[Generation] = []

    async def speak(claimed: Generation) -> AsyncIterator[str]:
        heard.append(claimed)
        yield "네."

    async with ScriptedWorker(store, memory_broker, LANE, speak):
        yield heard


async def kept(store: Store) -> int:
    return await store._database["pictures"].count_documents({})


async def test_pictures_stand_in_their_messages(program: Program, store: Store, heard: list[Generation]) -> None:
    body = asked(TEXT, part(png(seed=1)), part(photo(6), "image/jpeg"))
    body["messages"].insert(0, {"role": "system", "content": "짧게"})
    body["messages"].append({"role": "assistant", "content": "네"})
    body["messages"].append({"role": "user", "content": [part(png(seed=2), "text/plain"), TEXT]})
    response = await send(program, body)

    assert response.status_code == 200, await response.get_data(as_text=True)
    (claimed,) = heard
    assert isinstance(claimed.prompt, tuple)
    assert [len(message.pictures) for message in claimed.prompt] == [0, 2, 0, 1]
    assert [message.role for message in claimed.prompt] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]
    assert claimed.prompt[1].content == claimed.prompt[3].content == "이게 뭐예요?"
    assert claimed.pictures == claimed.prompt[1].pictures + claimed.prompt[3].pictures
    assert (claimed.pictures[1].width, claimed.pictures[1].height) == (48, 64)
    for picture in claimed.pictures:
        assert await store.pictures.get(picture.id, program.user_id) is not None
        assert await store.blobs.get(picture.sha256) is not None


async def test_a_picture_of_several_megabytes_fits(program: Program, heard: list[Generation]) -> None:
    large = png() + bytes(9 << 20)  # what follows a PNG's end is nobody's
    response = await send(program, asked(TEXT, part(large), part(large)))

    assert response.status_code == 200, await response.get_data(as_text=True)
    assert len(heard[0].pictures) == 2


async def test_jobs_take_them_too_and_every_choice_has_them(
    program: Program, store: Store, heard: list[Generation]
) -> None:
    assert (await send(program, asked(TEXT, part(png())), "/v1/jobs")).status_code == 202
    assert (await send(program, asked(TEXT, part(png()), n=2))).status_code == 200

    assert [len(claimed.pictures) for claimed in heard] == [1, 1, 1]


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        ([named("https://example.com/a.png")], "address_refused", "messages[0].content[0].image_url.url"),
        ([TEXT, named("http://169.254.169.254/")], "address_refused", "messages[0].content[1].image_url.url"),
        ([named("file:///etc/passwd")], "address_refused", "messages[0].content[0].image_url.url"),
        ([named("//example.com/a.png")], "address_refused", "messages[0].content[0].image_url.url"),
        ([named("data:image/png,abc")], "invalid_value", "messages[0].content[0].image_url.url"),
        ([named("data:image/png;base64,%%%")], "invalid_value", "messages[0].content[0].image_url.url"),
        ([named("한글")], "invalid_value", "messages[0].content[0].image_url.url"),
        ([{"type": "image_url", "image_url": "data:"}], "invalid_type", "messages[0].content[0].image_url"),
        ([part(b"")], "picture_empty", "messages[0].content[0].image_url.url"),
        ([part(png()), part("글".encode())], "picture_kind_unknown", "messages[0].content[1].image_url.url"),
        ([part(bomb())], "picture_too_many_pixels", "messages[0].content[0].image_url.url"),
        ([part(photo()[:-200])], "picture_broken", "messages[0].content[0].image_url.url"),
        ([part(animated("WEBP"))], "picture_animated", "messages[0].content[0].image_url.url"),
        ([part(cmyk())], "picture_colours_unknown", "messages[0].content[0].image_url.url"),
        ([part(png() + bytes(10 << 20))], "picture_too_large", "messages[0].content[0].image_url.url"),
        ([part(png(seed=seed)) for seed in range(5)], "too_many_pictures", "messages[0].content"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_picture_of_ours_is_named_and_nothing_is_stored(
    program: Program, store: Store, heard: list[Generation], content: list[dict[str, Any]], code: str, param: str
) -> None:
    response = await send(program, asked(*content))
    error = (await response.get_json())["error"]

    assert response.status_code == 400
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"][-1] == "."
    assert (await kept(store), heard) == (0, [])


async def test_only_people_show_pictures(program: Program, store: Store) -> None:
    body = {"model": "test", "messages": [{"role": "system", "content": [part(png())]}]}
    error = (await (await send(program, body)).get_json())["error"]

    assert (error["code"], error["param"]) == ("unsupported_parameter", "messages[0].content[0]")
    assert await kept(store) == 0


async def test_a_request_has_so_many_and_no_more(program: Program, store: Store) -> None:
    messages = [{"role": "user", "content": [part(png())] * 4} for _ in range(MOST_PER_REQUEST // 4 + 1)]
    error = (await (await send(program, {"model": "test", "messages": messages})).get_json())["error"]

    assert (error["code"], error["param"]) == ("too_many_pictures", "messages")
    assert await kept(store) == 0


async def test_a_model_without_eyes_is_told_before_anything_is_kept(program: Program, store: Store) -> None:
    await store.workers.beat("w", LANE, "test", "digest", 4, 0)
    response = await send(program, asked(TEXT, part(png())))
    error = (await response.get_json())["error"]

    assert (response.status_code, error["code"], error["param"]) == (400, "pictures_unsupported", "messages")
    assert await kept(store) == 0


async def test_an_unknown_model_costs_no_picture(program: Program, store: Store) -> None:
    assert (await send(program, asked(TEXT, part(png()), model="other"))).status_code == 404
    assert await kept(store) == 0
