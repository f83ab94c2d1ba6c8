"""Pictures and blobs stay as long as something refers to them, and go when nothing does, whoever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared import forgetting
from shared.chat import PictureRef
from shared.settings import RetentionSettings
from shared.store import Store
from shared.store.connection import Document
from shared.store.pictures import UNUSED_S, Picture
from tests.factories import generation

_LATER = UNUSED_S + 3600


async def add(store: Store, data: bytes = b"picture", user_id: str = "u", thumbnail: bytes = b"small") -> Picture:
    return await store.pictures.add(user_id, data, thumbnail, mime="image/png", width=4, height=3, alt="공")


async def show(store: Store, *refs: PictureRef, user_id: str = "u", conversation_id: str = "c") -> str:
    turn = generation(user_id=user_id, conversation_id=conversation_id, pictures=refs)
    await store.generations.add(turn)
    return turn.id


async def age(store: Store, seconds: float = _LATER) -> None:
    """As if so much time had passed for everything that is waiting to be looked at."""
    for name in ("pictures", "blobs"):
        await store._database[name].update_many({"look_at": {"$gt": 0.0}}, {"$inc": {"look_at": -seconds}})


async def counts(store: Store) -> tuple[int, int]:
    database = store._database
    return await database["pictures"].count_documents({}), await database["blobs"].count_documents({})


async def test_a_turn_comes_back_with_its_pictures(store: Store) -> None:
    first, second = await add(store, b"1"), await add(store, b"2")
    turn_id = await show(store, second.ref, first.ref)

    found = await store.generations.get(turn_id)
    assert found is not None
    assert found.pictures == (second.ref, first.ref)
    assert second.ref == PictureRef(second.id, second.sha256, 4, 3, "공")
    assert await store.blobs.get(second.sha256) == b"2"


async def test_the_same_bytes_are_one_blob_for_everybody(store: Store) -> None:
    await add(store)
    await add(store, user_id="other")

    assert await counts(store) == (2, 2)


async def test_one_sees_only_ones_own(store: Store) -> None:
    mine, theirs = await add(store), await add(store, user_id="other")

    assert await store.pictures.get(theirs.id, "u") is None
    assert await store.pictures.take([mine.id, theirs.id], "u") is None
    assert await store.pictures.take([mine.id], "u") == [mine]
    assert [picture.id for picture in await store.pictures.of_user("u")] == [mine.id]
    space = await store.pictures.space("u", 10)
    assert (space.count, space.size_bytes) == (1, len(b"picture") + len(b"small"))


async def test_its_owner_alone_can_call_it_something_else(store: Store) -> None:
    mine, theirs = await add(store), await add(store, user_id="other")
    for picture in (mine, theirs):
        await store.pictures.describe(picture.id, "u", "상자")

    assert [picture.alt for picture in await store.pictures.of_user("u")] == ["상자"]
    assert await store.pictures.of_user("other") == [theirs]


async def test_an_upload_that_no_turn_shows_goes_after_a_day(store: Store) -> None:
    unused, shown = await add(store, b"1"), await add(store, b"2")
    await show(store, shown.ref)
    await store.pictures.collect(100)
    assert await counts(store) == (2, 3)

    await age(store)
    await store.pictures.collect(100)
    await store.pictures.collect(100)

    assert await store.pictures.get(unused.id, "u") is None
    assert await store.pictures.get(shown.id, "u") == shown
    assert await counts(store) == (1, 2)  # the thumbnail is the other's too


async def test_what_is_shown_is_not_looked_at_again(store: Store) -> None:
    await show(store, (await add(store)).ref)
    await age(store)
    await store.pictures.collect(100)

    for name in ("pictures", "blobs"):
        assert await store._database[name].count_documents({"look_at": {"$gt": 0.0}}) == 0


async def test_removed_turns_take_along_what_no_other_shows(store: Store) -> None:
    here, both = await add(store, b"1"), await add(store, b"2")
    await show(store, here.ref, both.ref, conversation_id="c")
    await show(store, both.ref, conversation_id="d")
    await age(store)
    await store.pictures.collect(100)
    await store.personal.remove_turns({"conversation_id": "c"})

    assert await store.pictures.get(here.id, "u") is None
    assert await store.pictures.get(both.id, "u") == both
    assert await counts(store) == (1, 2)


async def test_a_removal_that_was_cut_short_is_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await show(store, (await add(store)).ref)
    await age(store)
    await store.pictures.collect(100)

    async def die(picture_ids: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(store.pictures, "let_go", die)
    with pytest.raises(RuntimeError):
        await store.personal.remove_turns({"conversation_id": "c"})
    await age(store, 120)
    await forgetting.forget_old(store, RetentionSettings())
    await store.pictures.collect(100)

    assert await counts(store) == (0, 0)


async def test_an_account_leaves_nothing_and_others_keep_theirs(store: Store) -> None:
    await show(store, (await add(store, b"1")).ref)
    await add(store, b"2")
    kept = await add(store, b"2", user_id="other")
    await store.personal.remove("u")

    assert await store.pictures.get(kept.id, "other") == kept
    assert await store.blobs.get(kept.sha256) == b"2"
    assert await counts(store) == (1, 2)


class Between:
    """Does something between a question whether a document is used and what follows from the answer."""

    def __init__(self, is_used: Callable[[Document], Awaitable[bool]], then: Callable[[], Awaitable[object]]) -> None:
        self._is_used = is_used
        self._then = then
        self.is_done = False

    async def __call__(self, document: Document) -> bool:
        answer = await self._is_used(document)
        if not self.is_done:
            self.is_done = True
            await self._then()
        return answer


@pytest.mark.parametrize("ends", ["taken", "shown", "shown and looked at"])
async def test_a_picture_that_is_taken_while_it_is_removed_stays(store: Store, ends: str) -> None:
    picture = await add(store)
    await age(store)

    async def take() -> None:
        assert await store.pictures.take([picture.id], "u") == [picture]
        if ends != "taken":
            await show(store, picture.ref)
        if ends == "shown and looked at":
            await age(store)
            await store.pictures.collect(100)

    leftovers = store.pictures._leftovers
    leftovers._is_used = Between(leftovers._is_used, take)
    await store.pictures.collect(100)

    assert await store.pictures.get(picture.id, "u") == picture
    assert await store.blobs.get(picture.sha256) == b"picture"


async def test_a_blob_that_is_brought_again_while_it_is_removed_stays(store: Store) -> None:
    await store.blobs.put(b"picture")
    await age(store)
    added: list[Picture] = []

    async def again() -> None:
        added.append(await add(store))

    leftovers = store.blobs.leftovers
    leftovers._is_used = Between(leftovers._is_used, again)
    await store.pictures.collect(100)

    assert await store.blobs.get(added[0].sha256) == b"picture"


async def test_many_at_once_lose_nothing(store: Store) -> None:
    """Uploads, questions and removals of one and the same picture, with sweeps between them."""

    async def live(number: int) -> None:
        for turn in range(4):
            picture = await add(store, user_id=f"u{number}")
            taken = await store.pictures.take([picture.id], f"u{number}")
            assert taken is not None
            conversation = f"c{number}-{turn}"
            await show(store, picture.ref, user_id=f"u{number}", conversation_id=conversation)
            assert await store.blobs.get(picture.sha256) == b"picture"
            if turn < 3:
                await store.personal.remove_turns({"conversation_id": conversation})

    async def sweep() -> None:
        while not done.is_set():
            await store.pictures.collect(100)

    done = asyncio.Event()
    sweeping = asyncio.create_task(sweep())
    await asyncio.gather(*(live(number) for number in range(6)))
    done.set()
    await sweeping

    assert await counts(store) == (6, 2)
