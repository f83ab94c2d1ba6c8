"""Finding turns by their stems: only one's own, only while they are there, on every store alike."""

from __future__ import annotations

from shared.chat import Generation, GenerationState
from shared.ids import new_id
from shared.store import Store
from shared.store.search import Entry
from tests.factories import generation


async def _turn(store: Store, *stems: str, user_id: str = "u", state: GenerationState = GenerationState.DONE) -> Entry:
    turn = generation(user_id=user_id, state=state)
    await store.generations.add(turn)
    entry = Entry(turn.id, turn.conversation_id)
    if stems:
        await store.search.put(entry, user_id, stems)
    return entry


async def test_a_turn_is_found_by_all_its_patterns_the_last_first(store: Store) -> None:
    old = await _turn(store, "공원", "걷다/")
    new = await _turn(store, "공원", "걷다/", "비")
    await _turn(store, "공원", "먹다/")
    await _turn(store, "공원", "걷다/", user_id="other")

    assert await store.search.matching("u", [" 공원 ", " 걷다/ "], 10) == [new, old]
    assert await store.search.matching("u", [" 공원 ", " 걷다/ "], 1) == [new]
    assert await store.search.matching("u", [" 걷"], 10) == [new, old]
    assert await store.search.matching("u", [" [바-빟] "], 10) == [new]
    assert await store.search.matching("u", [" 먹다/ ", " 비 "], 10) == []


async def test_what_is_over_and_has_no_entry_is_told_once(store: Store) -> None:
    lacking = await _turn(store)
    await _turn(store, state=GenerationState.RUNNING)
    strange = await _turn(store, user_id="other")

    assert await store.search.unindexed(10, "u") == [lacking.turn_id]
    assert set(await store.search.unindexed(10)) == {lacking.turn_id, strange.turn_id}
    await store.search.put(lacking, "u", ["말"])
    await store.search.leave_out(strange.turn_id)
    assert await store.search.unindexed(10) == []
    assert await store.search.matching("other", [" "], 10) == []


async def test_turns_written_before_there_was_a_search_are_marked_a_few_at_a_time(store: Store) -> None:
    old = [await _turn(store) for _ in range(3)]
    await store._database["generations"].update_many({}, {"$unset": {"is_unindexed": ""}})

    assert await store.search.unindexed(10) == []
    assert [await store.search.mark_older(2) for _ in range(3)] == [2, 1, 0]
    assert set(await store.search.unindexed(10)) == {entry.turn_id for entry in old}


async def test_a_turn_that_was_removed_meanwhile_is_not_found(store: Store) -> None:
    await store.search.put(Entry(new_id(), new_id()), "u", ["말"])

    assert await store.search.matching("u", [" 말 "], 10) == []


async def test_removing_turns_and_people_removes_what_they_were_found_by(store: Store) -> None:
    gone, kept = await _turn(store, "말"), await _turn(store, "말")
    await store.personal.remove_turns({"conversation_id": gone.conversation_id})
    assert await store.search.matching("u", [" 말 "], 10) == [kept]

    await store.personal.remove("u")
    assert await store._database["search"].count_documents({}) == 0


async def test_an_answer_that_is_tried_again_is_read_again(store: Store) -> None:
    asked: Generation = generation(user_id="u")
    await store.generations.add(asked)
    await store._database["generations"].update_one(
        {"_id": asked.id}, {"$set": {"is_dead": True, "is_unindexed": False}}
    )
    await store.generations.revive(asked.id)
    claimed = await store.generations.claim(asked.lane, "w")
    assert claimed is not None
    await store.generations.finish(asked.id, claimed.attempt, GenerationState.DONE, [], "답")

    assert await store.search.unindexed(10) == [asked.id]
