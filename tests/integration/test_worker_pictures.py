"""Pictures through a whole worker: from blobs to answers that `generate` gives too, beside questions without any."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from shared.chat import Generation, GenerationState, Message, Origin, PictureRef, Role
from shared.errors import PictureGone
from shared.evidence import Evidence, EvidenceObject, PictureEvidence
from shared.ids import new_id
from shared.prompting import prompt_ids
from shared.settings import WorkerSettings
from shared.store import Store
from tests.engine_runs import events_of, tokens_of
from tests.greedy import assert_greedy
from tests.picture_files import png
from tests.tiny_models import (
    PICTURE_TOKEN,
    PICTURE_TOKEN_ID,
    save_tiny_model_with_eyes,
    tiny_image_processor,
    tiny_model_with_eyes,
    tiny_tokenizer,
)
from tests.worker_house import GREEDY, House, serving_tiny_model
from workers.engine.base import Picture, PictureNotes, Request
from workers.engine.engine_messages import Order
from workers.engine.process_engine import ProcessEngine
from workers.open_model import open_model
from workers.pictures import ShownPicture
from workers.served_model import ServedModel

_SETTINGS = WorkerSettings(slots=16, device="cpu", dtype="float32", prefill_chunk=64, threads=1)

VECTORS = 16
TOKENS = 40  # of an answer


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = save_tiny_model_with_eyes(tmp_path_factory.mktemp("eyes"))
    open_model(str(directory), "tiny", _SETTINGS)  # what takes longest is imported here, before anybody waits for it
    return directory


@pytest.fixture
def seeing(directory: Path) -> Callable[[], ServedModel]:
    """Loads it, as workers do."""
    return lambda: open_model(str(directory), "tiny", _SETTINGS)


class Album:
    """Pictures of one person in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.user_id = new_id()
        self.pixels: dict[str, torch.Tensor] = {}  # by id, as the model's own processor prepares them

    async def add(self, seed: int) -> PictureRef:
        data = png(seed=seed)
        picture = await self._store.pictures.add(
            self.user_id, data, b"thumbnail", mime="image/png", width=64, height=48, alt=""
        )
        prepared = tiny_image_processor()(images=[Image.open(io.BytesIO(data))], return_tensors="np")
        self.pixels[picture.id] = torch.from_numpy(prepared["pixel_values"])
        return picture.ref


@pytest.fixture
async def album(store: Store) -> AsyncIterator[Album]:
    yield Album(store)


async def ask(house: House, album: Album, question: str, *pictures: PictureRef, **changes: Any) -> Generation:
    return await house.ask(question, user_id=album.user_id, pictures=pictures, **changes)


def assert_as_generate_says(found: Generation, album: Album, messages: Sequence[Message], *notes: int) -> None:
    """Its tokens are those of the library's own model, given the same turns. `notes`: what describes each picture."""
    tokenizer = tiny_tokenizer(PICTURE_TOKEN)
    ids = prompt_ids(messages, tokenizer, PICTURE_TOKEN)
    prompt = [each for one in ids for each in ([one] * VECTORS + [*notes] if one == PICTURE_TOKEN_ID else [one])]
    shown = [album.pixels[picture.id] for message in messages for picture in message.pictures]
    model = tiny_model_with_eyes(placeholder=PICTURE_TOKEN_ID)
    pictures = torch.cat(shown) if shown else None
    tokens = list(found.token_ids)
    assert_greedy(model, prompt, tokens, TOKENS, pictures=pictures)
    assert found.prompt_tokens == len(prompt)


async def test_with_and_without_pictures_in_one_batch(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    refs = [await album.add(seed) for seed in range(3)]
    shows = [(), (refs[0],), (refs[1], refs[2]), (), (refs[2], refs[1], refs[0]), (refs[0],)]
    async with house.worker(seeing):
        asked = [await ask(house, album, f"질문 {number}", *some) for number, some in enumerate(shows)]
        for each in asked:
            assert await house.node.final(each) == "done"

    for each in asked:
        found = await house.get(each)
        assert found.answer == house.node.texts[each.id]
        assert_as_generate_says(found, album, [Message(Role.USER, each.question, each.pictures)])


async def test_a_follow_up_still_sees_the_picture(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    ref = await album.add(1)
    async with house.worker(seeing):
        first = await ask(house, album, "이게 뭐예요?", ref, sampling=replace(GREEDY, max_new_tokens=12))
        await house.node.final(first)
        later = await ask(house, album, "무슨 색이에요?", conversation_id=first.conversation_id, parent_id=first.id)
        assert await house.node.final(later) == "done"

    said = (await house.get(first)).answer
    turns = [
        Message(Role.USER, "이게 뭐예요?", (ref,)),
        Message(Role.ASSISTANT, said),
        Message(Role.USER, "무슨 색이에요?"),
    ]
    assert_as_generate_says(await house.get(later), album, turns)


async def test_messages_of_the_api_have_pictures_too(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    one, two = await album.add(1), await album.add(2)
    prompt = (
        Message(Role.SYSTEM, "짧게"),
        Message(Role.USER, "봐요", (two,)),
        Message(Role.ASSISTANT, "네"),
        Message(Role.USER, "뭐예요", (one, two)),
    )
    async with house.worker(seeing):
        asked = await ask(house, album, "", one, two, prompt=prompt, origin=Origin.CHAT)
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.prompt == prompt
    assert_as_generate_says(found, album, prompt)


async def test_another_worker_continues_with_the_same_tokens(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    ref = await album.add(1)
    async with house.worker(seeing) as first:
        asked = await ask(house, album, "이게 뭐예요?", ref)
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 3)
        await first.kill()
    async with house.worker(seeing, stale_after_s=0.3):
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == house.node.texts[asked.id]
    assert_as_generate_says(found, album, [Message(Role.USER, "이게 뭐예요?", (ref,))])


@pytest.mark.parametrize("damage", ["gone", "broken"])
async def test_a_picture_that_is_no_more_fails_its_answer_alone(
    house: House, album: Album, seeing: Callable[[], ServedModel], damage: str
) -> None:
    lost, there = await album.add(1), await album.add(2)
    blobs = house.store._database["blobs"]
    if damage == "gone":
        await blobs.delete_one({"_id": lost.sha256})
    else:
        await blobs.update_one({"_id": lost.sha256}, {"$set": {"data": b"no picture"}})
    async with house.worker(seeing):
        bad, good = await ask(house, album, "하나", lost, there), await ask(house, album, "둘", there)
        assert await house.node.final(bad) == "failed"
        assert await house.node.final(good) == "done"

    assert (await house.get(bad)).error_code == "picture_gone"
    assert_as_generate_says(await house.get(good), album, [Message(Role.USER, "둘", (there,))])


async def test_a_model_without_eyes_says_so_and_answers_the_next(house: House, album: Album) -> None:
    async with house.worker():
        bad, good = await ask(house, album, "이게 뭐예요?", await album.add(1)), await house.ask("안녕")
        assert await house.node.final(bad) == "failed"
        assert await house.node.final(good) == "done"

    assert (await house.get(bad)).error_code == "pictures_unsupported"
    assert (await house.get(bad)).token_ids == ()


@pytest.mark.parametrize("sees", [True, False])
async def test_a_worker_tells_whether_it_sees(house: House, seeing: Callable[[], ServedModel], sees: bool) -> None:
    async with house.worker(seeing if sees else serving_tiny_model):
        (status,) = await house.store.workers.alive(timedelta(seconds=60))

    assert status.sees is sees


async def test_what_describes_a_picture_follows_it_and_is_made_once(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    described: list[str] = []

    def describe(picture: Picture) -> PictureNotes:
        described.append(picture.digest)
        return PictureNotes((70, 71, 72), findings=f"found in {picture.digest}")

    def load() -> ServedModel:
        model = seeing()
        engine: Any = model.engine
        engine._looker = replace(engine._looker, describe=describe)
        return model

    ref = await album.add(1)
    async with house.worker(load):
        first = await ask(house, album, "이게 뭐예요?", ref, sampling=replace(GREEDY, max_new_tokens=4))
        await house.node.final(first)
        again = await ask(house, album, "이게 뭐예요?", ref)
        await house.node.final(again)

    assert described == [ref.sha256]
    assert_as_generate_says(await house.get(again), album, [Message(Role.USER, "이게 뭐예요?", (ref,))], 70, 71, 72)


async def test_evidence_of_an_answer_is_kept_beside_it(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    seen: list[tuple[Sequence[ShownPicture], Sequence[int]]] = []

    def evidence_of(pictures: Sequence[ShownPicture], token_ids: Sequence[int]) -> Evidence:
        seen.append((pictures, token_ids))
        ball = EvidenceObject(number=1, box=(0.1, 0.2, 0.5, 0.6), name="빨간 공", used=True)
        found = tuple(PictureEvidence(picture_id=each.ref.id, objects=(ball,)) for each in pictures)
        return Evidence(source="both", pictures=found)

    ref = await album.add(1)
    async with house.worker(lambda: replace(seeing(), evidence=evidence_of)):
        asked, without = await ask(house, album, "이게 뭐예요?", ref), await house.ask("안녕")
        for each in (asked, without):
            assert await house.node.final(each) == "done"

    found = await house.get(asked)
    ((pictures, token_ids),) = seen
    assert [each.ref for each in pictures] == [ref]
    assert tuple(token_ids) == found.token_ids
    assert found.evidence is not None
    assert found.evidence.pictures[0].picture_id == ref.id
    assert found.evidence.pictures[0].objects[0].box == (0.1, 0.2, 0.5, 0.6)
    assert (await house.get(without)).evidence is None


async def test_evidence_that_fails_costs_no_answer(
    house: House, album: Album, seeing: Callable[[], ServedModel]
) -> None:
    def evidence_of(pictures: Sequence[ShownPicture], token_ids: Sequence[int]) -> Evidence:
        raise RuntimeError("a fault of ours")

    ref = await album.add(1)
    async with house.worker(lambda: replace(seeing(), evidence=evidence_of)):
        asked = await ask(house, album, "이게 뭐예요?", ref)
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert len(found.token_ids) == TOKENS
    assert found.state is GenerationState.DONE
    assert found.evidence is None


def test_the_models_own_processor_prepares_pictures_and_no_other(directory: Path) -> None:
    engine: Any = open_model(str(directory), "tiny", _SETTINGS).engine
    prepared = engine._looker.look("digest", png(seed=3))

    expected = tiny_image_processor()(images=[Image.open(io.BytesIO(png(seed=3)))], return_tensors="np")
    np.testing.assert_array_equal(prepared.picture.pixels, expected["pixel_values"][0])
    assert type(engine._looker.processor) is transformers.SiglipImageProcessorPil


async def test_an_engine_in_a_process_of_its_own_looks_too(directory: Path) -> None:
    order = Order(str(directory), _SETTINGS, "text", "warning")
    engine = await asyncio.to_thread(ProcessEngine.start, order)
    try:
        looked = await engine.look("digest", png(seed=3))
        with pytest.raises(PictureGone):
            await engine.look("digest", b"no picture")
        prompt = (9, *[PICTURE_TOKEN_ID] * VECTORS, 60)
        request = Request("a", prompt, (), 0, 0.0, 1.0, 0, 8, pictures=(looked.picture,))
        tokens = tokens_of(await events_of(engine, request))
    finally:
        await engine.close()

    assert engine.opened.sees
    model = tiny_model_with_eyes(placeholder=PICTURE_TOKEN_ID)
    assert_greedy(model, list(prompt), tokens, 8, pictures=torch.from_numpy(looked.picture.pixels)[None])
