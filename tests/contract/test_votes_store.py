"""What shared/store promises about votes, and about the consent to learn from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.chat import AccountRole
from shared.store import Store
from shared.votes import Reason, Vote, VoteCount, VoteValue
from tests.factories import generation


async def _voted(store: Store, user_id: str = "u", **changes: object) -> Vote:
    turn = generation(user_id=user_id, conversation_id="c")
    await store.generations.add(turn)
    values = {"adapter": None, "value": VoteValue.UP} | changes
    vote = Vote(
        *(turn.id, "c", user_id, VoteValue.UP, (Reason.HELPFUL,), "고마워요", "test", "0" * 8, None),
        datetime.fromtimestamp(round(datetime.now(UTC).timestamp(), 3), UTC),
    )
    vote = replace(vote, **values)  # type: ignore[arg-type]  # of its fields
    await store.votes.put(vote)
    return vote


async def test_a_vote_is_kept_changed_and_taken_back(store: Store) -> None:
    vote = await _voted(store)
    assert await store.votes.of_conversation("c", "u") == {vote.turn_id: vote}
    assert await store.votes.of_conversation("c", "somebody else") == {}

    changed = replace(vote, value=VoteValue.DOWN, reasons=(Reason.WRONG, Reason.LONG), words="")
    await store.votes.put(changed)
    assert await store.votes.of_user("u") == [changed]

    await store.votes.take_back(vote.turn_id, "somebody else")
    assert await store.votes.of_user("u") == [changed]
    await store.votes.take_back(vote.turn_id, "u")
    assert await store.votes.of_user("u") == []


async def test_votes_go_with_their_turns_and_do_not_come_after_them(store: Store) -> None:
    vote = await _voted(store)
    await store.personal.remove_turns({"conversation_id": "c"})
    assert await store.votes.of_user("u") == []

    await store.votes.put(vote)

    assert await store.votes.of_user("u") == []


async def test_votes_are_counted_by_version_with_the_people_who_gave_them(store: Store) -> None:
    for user_id, value in (("u", VoteValue.UP), ("u", VoteValue.DOWN), ("v", VoteValue.UP)):
        await _voted(store, user_id, value=value, adapter="wall@0")
    await _voted(store)

    assert await store.votes.counts() == [VoteCount("test", None, 1, 0, 1), VoteCount("test", "wall@0", 2, 1, 2)]


async def test_consent_is_off_until_given_and_ends_with_the_account(store: Store) -> None:
    user = await store.users.create("a@example.com", "가", b"x", AccountRole.USER)
    assert user.agreed_at is None and await store.users.agreeing() == []

    await store.users.set_agreed(user.id, agrees=True)
    (found,) = await store.users.agreeing()
    assert found.agreed_at is not None and found == await store.users.get(user.id)
    await store.users.set_agreed(user.id, agrees=False)
    assert await store.users.agreeing() == []

    await store.users.set_agreed(user.id, agrees=True)
    await store.users.begin_deletion(user.id)
    assert await store.users.agreeing() == []


@pytest.mark.parametrize(("agreed_ago_s", "expected"), [(None, False), (-60, False), (60, True)])
async def test_only_votes_given_under_the_consent_that_holds_may_teach(
    store: Store, agreed_ago_s: float | None, expected: bool
) -> None:
    vote = await _voted(store)
    agreed_at = vote.voted_at - timedelta(seconds=agreed_ago_s) if agreed_ago_s is not None else None

    assert vote.may_teach(agreed_at) is expected
