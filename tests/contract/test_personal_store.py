"""What belongs to a person, and what becomes too old: found everywhere, removed everywhere, nothing else touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared import forgetting
from shared.chat import GenerationState, Origin
from shared.settings import RetentionSettings
from shared.store import Store
from shared.store.personal import DOCUMENTS, PERSONAL, PERSONAL_BY_PREFIX, SHARED, WITHOUT_PEOPLE
from tests.factories import generation

_DAY_S = 86_400.0


async def _aged(store: Store, collection: str, document_id: str, **days: float) -> None:
    """Let these times of a document be so many days ago."""
    at = datetime.now(UTC).timestamp()
    times = {name: at - value * _DAY_S for name, value in days.items()}
    await store._database[collection].update_one({"_id": document_id}, {"$set": times})


async def test_every_collection_is_known_to_hold_people_or_not(store: Store) -> None:
    used = {name for name in vars(store) if not name.startswith("_")}
    collections = set(await store._database.list_collection_names())

    assert collections <= set(PERSONAL) | PERSONAL_BY_PREFIX | SHARED | DOCUMENTS | WITHOUT_PEOPLE
    assert (
        used - {"personal", "audit", "adapters"}
        <= set(PERSONAL) | PERSONAL_BY_PREFIX | SHARED | DOCUMENTS | WITHOUT_PEOPLE
    )


async def _conversation(store: Store, user_id: str, days: float) -> str:
    turn = generation(user_id=user_id, conversation_id="")
    turn = generation(id=turn.id, user_id=user_id, conversation_id=turn.id)
    await store.generations.add(turn)
    await store.conversations.create(turn.id, user_id, "제목", turn.id)
    await _aged(store, "conversations", turn.id, updated_at=days, created_at=days)
    await _aged(store, "generations", turn.id, created_at=days)
    return turn.id


async def test_old_conversations_go_with_their_turns(store: Store) -> None:
    old, young = await _conversation(store, "u", 8), await _conversation(store, "u", 6)
    await forgetting.forget_old(store, RetentionSettings(conversation_days=7, api_days=0))

    assert await store.personal.conversation_ids("u") == [young]
    assert await store.generations.get(old) is None
    assert await store.generations.get(young) is not None


async def test_a_conversation_used_again_stays_whole(store: Store) -> None:
    begun = await _conversation(store, "u", 30)
    await _aged(store, "conversations", begun, updated_at=1)
    await forgetting.forget_old(store, RetentionSettings(conversation_days=7, api_days=7))

    assert await store.personal.conversation_ids("u") == [begun]
    assert await store.generations.get(begun) is not None


async def test_old_api_answers_go_by_their_end(store: Store) -> None:
    ids = {}
    for name, origin, days in (("old", Origin.CHAT, 31), ("job", Origin.JOB, 31), ("young", Origin.TEXT, 29)):
        asked = generation(user_id="u", origin=origin)
        await store.generations.add(asked)
        claimed = await store.generations.claim(asked.lane, "w")
        assert claimed is not None
        await store.generations.finish(asked.id, claimed.attempt, GenerationState.DONE, [], "끝")
        await _aged(store, "generations", asked.id, finished_at=days, created_at=60)
        ids[name] = asked.id
    waiting = generation(user_id="u", origin=Origin.JOB)
    await store.generations.add(waiting)
    await _aged(store, "generations", waiting.id, created_at=60)
    page = await _conversation(store, "u", 60)
    await _aged(store, "generations", page, finished_at=60)
    await forgetting.forget_old(store, RetentionSettings(conversation_days=0, api_days=30))

    assert set(await store.personal.api_answer_ids("u")) == {ids["young"], waiting.id}
    assert await store.generations.get(page) is not None


async def test_zero_days_keep_everything(store: Store) -> None:
    old = await _conversation(store, "u", 10_000)
    await forgetting.forget_old(store, RetentionSettings(conversation_days=0, api_days=0))

    assert await store.personal.conversation_ids("u") == [old]


async def test_a_round_is_bounded(store: Store) -> None:
    for _ in range(3):
        await _conversation(store, "u", 9)

    assert await store.personal.remove_conversations(datetime.now(UTC) - timedelta(days=7), 2) == 2
    assert len(await store.personal.conversation_ids("u")) == 1


async def test_many_documents_of_one_person_go_and_those_of_others_stay(store: Store) -> None:
    for number in range(450):
        await store.generations.add(generation(user_id="u" if number % 3 else "other"))
    for user_id in ("u", "u0", "u-other"):
        await store.usage.add(user_id, 1, datetime.now(UTC))
        await store.fairness.start_tag("chat.test", user_id, 1.0, 0.0)
    await store.personal.remove("u")

    assert await store._database["generations"].count_documents({"user_id": "u"}) == 0
    assert await store._database["generations"].count_documents({"user_id": "other"}) == 150
    kept = [row["_id"] async for row in store._database["usage"].find({})]
    assert {key.partition("/")[0] for key in kept} == {"u0", "u-other"}
    tags = {row["_id"] async for row in store._database["fairness"].find({})}
    assert tags == {"chat.test/u0", "chat.test/u-other"}
