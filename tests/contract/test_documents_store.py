"""Documents in the store: claims, fences, removal without a trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.document_errors import DocumentEncrypted
from shared.documents import FIRST_INDEX, Document, DocumentKind, DocumentState, Page, Passage, WordBox
from shared.store import Store

_FILE = b"a file"


async def _add(store: Store, user_id: str = "u", data: bytes = _FILE, tag: float = 0.0) -> Document:
    return await store.documents.add(user_id, "이름.txt", DocumentKind.TEXT, data, tag)


async def _with_page(store: Store, document: Document) -> tuple[Page, Passage]:
    picture = await store.blobs.put(b"picture of " + document.id.encode())
    page = Page(1, "눈이 온다", (WordBox(0, 2, 0.1, 0.2, 0.3, 0.25),), picture, 1000, 1400)
    passage = Passage(document.id, 1, 0, 5, ("눈", "오다/"), b"\x00\x01")
    await store.documents.contents.put_page(document.id, document.user_id, page, [passage])
    return page, passage


async def _everything(store: Store) -> str:
    database = store._database
    rows: list[Any] = []
    for name in ("documents", "document_pages", "document_chunks", "blobs"):
        rows += [row async for row in database[name].find({})]
    return repr(rows)


async def test_the_first_in_line_is_claimed_once(store: Store) -> None:
    later, first = await _add(store, tag=2.0), await _add(store, "other", b"b", tag=1.0)

    claimed = [await store.documents.claim("w") for _ in range(3)]

    assert [each.id if each else None for each in claimed] == [first.id, later.id, None]
    assert claimed[0] is not None
    assert (claimed[0].attempt, claimed[0].worker_id, claimed[0].state) == (1, "w", DocumentState.READING)


async def test_pages_and_chunks_come_back_as_they_were(store: Store) -> None:
    document = await _add(store)
    page, passage = await _with_page(store, document)

    assert await store.documents.contents.page(document.id, "u", 1) == page
    assert await store.documents.contents.page(document.id, "other", 1) is None
    assert await store.documents.contents.passages("u", [document.id]) == [passage]
    assert await store.documents.contents.passages("other", [document.id]) == []


async def test_a_page_that_is_written_again_changes_no_digest(store: Store) -> None:
    document = await _add(store)
    await _with_page(store, document)
    before = await store.documents.contents.digest(document.id)
    await _with_page(store, document)
    assert await store.documents.contents.digest(document.id) == before

    await store.documents.contents.put_page(document.id, "u", Page(2, "더"), [])
    assert await store.documents.contents.digest(document.id) != before


async def test_only_the_current_attempt_writes(store: Store) -> None:
    document = await _add(store)
    first = await store.documents.claim("w1")
    assert first is not None and await store.documents.page_done(document.id, first.attempt, 1)
    assert await store.documents.give_back(document.id, first.attempt)
    second = await store.documents.claim("w2")

    assert second is not None
    assert (second.attempt, second.pages_done, second.begun_with) == (2, 1, 1)
    assert not await store.documents.page_done(document.id, first.attempt, 2)
    assert not await store.documents.finish(document.id, first.attempt, "x")
    assert not await store.documents.fail(document.id, first.attempt, DocumentEncrypted())
    assert await store.documents.finish(document.id, second.attempt, "digest")
    found = await store.documents.get(document.id, "u")
    assert found is not None and (found.state, found.index_digest) == (DocumentState.READY, "digest")


async def test_attempts_without_a_page_are_counted_and_go_after_others(store: Store) -> None:
    stuck = await _add(store, tag=1.0)
    for _ in range(2):
        claimed = await store.documents.claim("w")
        assert claimed is not None and await store.documents.give_back(stuck.id, claimed.attempt)
    fresh = await _add(store, data=b"fresh", tag=5.0)

    first, second = await store.documents.claim("w"), await store.documents.claim("w")

    assert first is not None and second is not None
    assert (first.id, second.id, second.stalled) == (fresh.id, stuck.id, 3)


async def test_the_same_file_is_found_unless_it_could_not_be_read(store: Store) -> None:
    document = await _add(store)
    found = await store.documents.with_file("u", document.sha256)
    assert found is not None and found.id == document.id
    assert await store.documents.with_file("other", document.sha256) is None

    claimed = await store.documents.claim("w")
    assert claimed is not None
    await store.documents.fail(document.id, claimed.attempt, DocumentEncrypted())
    assert await store.documents.with_file("u", document.sha256) is None


async def test_nothing_is_left_of_a_removed_document(store: Store) -> None:
    document = await _add(store)
    await _with_page(store, document)
    assert not await store.documents.remove(document.id, "other")
    assert await store.documents.remove(document.id, "u")

    assert await store.documents.of_user("u") == []
    assert "이름" not in await _everything(store)
    assert (await store.documents.space("u", 10)).count == 0
    await store.documents.finish_removals(10, after_s=0.0)
    assert await _everything(store) == "[]"


async def test_what_a_late_worker_writes_goes_too(store: Store) -> None:
    document = await _add(store)
    claimed = await store.documents.claim("w")
    await store.documents.remove(document.id, "u")
    await _with_page(store, document)
    assert claimed is not None and not await store.documents.page_done(document.id, claimed.attempt, 1)

    await store.documents.finish_removals(10, after_s=3600.0)
    rows = await _everything(store)
    assert document.id in rows and "눈" not in rows, "only the mark stays until no worker can write any more"
    await store.documents.finish_removals(10, after_s=0.0)
    assert await _everything(store) == "[]"


@pytest.mark.parametrize("again", [False, True])
async def test_a_file_that_two_people_have_stays_until_both_let_it_go(store: Store, again: bool) -> None:
    mine, theirs = await _add(store, "u"), await _add(store, "other")
    assert mine.sha256 == theirs.sha256
    await store.documents.remove(mine.id, "u")
    if again:
        await store.documents.finish_removals(10, after_s=0.0)

    assert await store.blobs.get(theirs.sha256) == _FILE
    await store.documents.remove_user("other")
    assert await store.blobs.get(theirs.sha256) is None


async def test_an_account_takes_all_of_its_documents_along(store: Store) -> None:
    for data in (b"a", b"b"):
        await _with_page(store, await _add(store, "u", data))
    kept = await _add(store, "other", b"c")
    await store.personal.remove("u")

    assert [row["_id"] async for row in store._database["documents"].find({})] == [kept.id]
    assert [row async for row in store._database["document_pages"].find({})] == []


async def test_a_document_lies_in_one_collection_and_only_its_owner_moves_it(store: Store) -> None:
    document = await _add(store)
    one, other = [await store.document_collections.add("u", name) for name in ("하나", "둘")]
    assert [each.name for each in await store.document_collections.of_user("u")] == ["둘", "하나"]
    assert not await store.documents.collect(document.id, "other", one.id)

    for collection in (one, other):
        assert await store.documents.collect(document.id, "u", collection.id)
        found = await store.documents.get(document.id, "u")
        assert found is not None and found.collection_id == collection.id
    await store.documents.scatter("u", one.id)
    assert (await store.documents.of_user("u"))[0].collection_id == other.id
    await store.documents.scatter("u", other.id)
    assert (await store.documents.of_user("u"))[0].collection_id is None


async def test_a_collection_is_its_owners_alone(store: Store) -> None:
    mine = await store.document_collections.add("u", "내 것")
    assert await store.document_collections.get(mine.id, "other") is None
    assert not await store.document_collections.rename(mine.id, "other", "남의 것")
    assert not await store.document_collections.remove(mine.id, "other")

    assert await store.document_collections.rename(mine.id, "u", "새 이름")
    assert (await store.document_collections.of_user("u"))[0].name == "새 이름"
    assert await store.document_collections.remove(mine.id, "u")
    assert await store.document_collections.of_user("u") == []


async def test_a_removed_document_forgets_its_collection_and_an_account_takes_its_collections_along(
    store: Store,
) -> None:
    document = await _add(store)
    collection = await store.document_collections.add("u", "비밀 모음")
    await store.documents.collect(document.id, "u", collection.id)
    await store.documents.remove(document.id, "u")
    assert collection.id not in await _everything(store)

    await store.personal.remove("u")
    assert [row async for row in store._database["document_collections"].find({})] == []


async def test_another_index_is_searched_in_one_step_and_only_from_the_one_before(store: Store) -> None:
    document = await _add(store)
    claimed = await store.documents.claim("w")
    assert claimed is not None and not await store.documents.switch_index(document.id, FIRST_INDEX, "new", "d")
    await store.documents.finish(document.id, claimed.attempt, "digest")
    assert [each.id for each in await store.documents.indexed_otherwise("new")] == [document.id]

    assert await store.documents.switch_index(document.id, FIRST_INDEX, "new", "d")
    assert not await store.documents.switch_index(document.id, FIRST_INDEX, "late", "d"), "another worker was slower"
    found = await store.documents.get(document.id, "u")
    assert found is not None and (found.index, found.index_digest) == ("new", "d")
    assert await store.documents.indexed_otherwise("new") == []


async def test_a_document_of_an_earlier_version_has_the_first_index(store: Store) -> None:
    document = await _add(store)
    claimed = await store.documents.claim("w")
    assert claimed is not None
    await _with_page(store, document)
    await store.documents.finish(document.id, claimed.attempt, "digest")
    for name in ("documents", "document_chunks"):
        await store._database[name].update_many({}, {"$unset": {"index": ""}})

    (found,) = await store.documents.of_user("u")
    (passage,) = await store.documents.contents.passages("u", [document.id])
    assert found.index == passage.index == FIRST_INDEX
    assert await store.documents.switch_index(document.id, FIRST_INDEX, "new", "d")


async def test_passages_of_two_indexes_lie_side_by_side_until_one_is_kept(store: Store) -> None:
    document = await _add(store)
    _, passage = await _with_page(store, document)
    contents = store.documents.contents
    new = replace(passage, index="new", end=2)
    before = await contents.digest(document.id)
    for _ in range(2):
        await contents.put_passages("u", [new])

    assert sorted(each.index for each in await contents.passages("u", [document.id])) == sorted((FIRST_INDEX, "new"))
    assert await contents.digest(document.id) == before != await contents.digest(document.id, "new")
    assert await contents.pages_with(document.id, "new") == {1}
    await contents.keep_index(document.id, "new")
    assert await contents.passages("u", [document.id]) == [new]


async def test_a_document_is_indexed_anew_once_and_only_the_current_attempt_writes(store: Store) -> None:
    document = await _add(store)
    assert await store.reindexings.add(document, "new")
    assert not await store.reindexings.add(document, "new"), "it waits already"
    first = await store.reindexings.claim("w")
    assert first is not None and await store.reindexings.page_done(document.id, first.attempt, 1)
    assert await store.reindexings.add(document, "newer"), "for another index it begins again"
    assert not await store.reindexings.page_done(document.id, first.attempt, 2)
    assert not await store.reindexings.finish(document.id, first.attempt)

    second = await store.reindexings.claim("w")
    assert second is not None and (second.index, second.pages_done) == ("newer", 0)
    assert await store.reindexings.finish(document.id, second.attempt)
    assert await store.reindexings.all() == []
