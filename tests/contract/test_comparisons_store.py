"""What shared/store promises about blind comparisons and what is offered for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared import forgetting
from shared.chat import Origin
from shared.comparisons import Choice, Comparison, Pairing
from shared.ids import new_id
from shared.settings import RetentionSettings
from shared.store import Store
from tests.factories import generation


def _moment(days_ago: float = 0) -> datetime:
    return datetime.fromtimestamp(int(datetime.now(UTC).timestamp()), UTC) - timedelta(days=days_ago)


async def _compared(store: Store, user_id: str = "u", days_ago: float = 0) -> Comparison:
    comparison = Comparison(new_id(), user_id, "질문", "wall@1", None, _moment(days_ago))
    await store.comparisons.add(comparison)
    for _ in range(2):
        turn = generation(user_id=user_id, conversation_id=comparison.id, origin=Origin.COMPARISON)
        await store.generations.add(turn)
    return comparison


async def test_a_choice_is_made_once_and_only_by_who_asked(store: Store) -> None:
    comparison = await _compared(store)
    assert await store.comparisons.get(comparison.id, "u") == comparison
    assert await store.comparisons.get(comparison.id, "v") is None
    assert await store.comparisons.chosen() == []

    assert not await store.comparisons.choose(comparison.id, "v", Choice.LEFT)
    assert await store.comparisons.choose(comparison.id, "u", Choice.RIGHT)
    assert not await store.comparisons.choose(comparison.id, "u", Choice.LEFT)

    (found,) = await store.comparisons.of_user("u")
    assert found.chosen_at is not None
    assert found == replace(comparison, choice=Choice.RIGHT, chosen_at=found.chosen_at)
    assert await store.comparisons.chosen() == [replace(found, question="")]


async def test_only_what_was_chosen_under_the_consent_that_holds_may_teach(store: Store) -> None:
    comparison = await _compared(store)
    assert not comparison.may_teach(comparison.asked_at)

    await store.comparisons.choose(comparison.id, "u", Choice.LEFT)
    (chosen,) = await store.comparisons.of_user("u")

    assert chosen.may_teach(comparison.asked_at)
    assert not chosen.may_teach(None)
    assert not chosen.may_teach(datetime.now(UTC) + timedelta(seconds=1))


async def test_old_ones_go_with_their_answers_and_api_retention_leaves_them(store: Store) -> None:
    old, young = await _compared(store, days_ago=8), await _compared(store, days_ago=6)
    await store._database["generations"].update_many({}, {"$set": {"finished_at": _moment(6).timestamp()}})

    await forgetting.forget_old(store, RetentionSettings(conversation_days=7, api_days=1))

    assert await store.comparisons.of_user("u") == [young]
    assert await store.generations.of_conversation(old.id, "u") == []
    assert len(await store.generations.of_conversation(young.id, "u")) == 2
    await store.comparisons.remove(young.id, "u")
    assert await store.comparisons.of_user("u") == []


async def test_pairings_are_offered_until_they_are_closed(store: Store) -> None:
    assert not await store.pairings.is_any_offered()
    first, second = (Pairing(each, "wall@1", None, True, "r", _moment()) for each in sorted([new_id(), new_id()]))
    for pairing in (first, second):
        await store.pairings.add(pairing)
    assert await store.pairings.offered() == [second, first]

    assert await store.pairings.close(second.id)
    assert not await store.pairings.close("unknown")

    assert await store.pairings.offered() == [first]
    assert await store.pairings.is_any_offered()
