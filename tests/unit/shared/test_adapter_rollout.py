"""Who must have tested a version before its alias moves; what happens when they join, leave, fail or say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.rollout import (
    Alias,
    Canary,
    Intent,
    Outcome,
    Report,
    WorkerState,
    begin,
    end_canary,
    report,
    retire,
    revive,
    roll_back,
    settle,
)
from shared.errors import AdapterBusy, AdapterInUse, AdapterNothingBefore, AdapterRetired, CanaryShareInvalid

ONE, TWO, THREE = (f"wallpaper@{digit * 12}" for digit in "123")
TIMEOUT_S = 60.0
FETCHING, LOADED, TESTED, FAILED = WorkerState.FETCHING, WorkerState.LOADED, WorkerState.TESTED, WorkerState.FAILED
SERVING_ONE = Alias(name="wallpaper", active=ONE)


def start(alias: Alias, adapter: str = TWO, *, at: float = 0.0, share: float | None = None) -> Alias:
    return begin(alias, adapter, "r", at, TIMEOUT_S, share=share)


def say(alias: Alias, worker: str, state: WorkerState, rollout_id: str = "r") -> Alias:
    return report(alias, rollout_id, worker, Report(state=state, at=1.0))


def activated(*versions: str) -> Alias:
    alias = Alias(name="wallpaper")
    for version in versions:
        alias = settle(say(start(alias, version), "w", TESTED), ["w"], 1.0)
    return alias


def outcome(alias: Alias) -> Outcome | None:
    return alias.last.outcome if alias.last else None


def test_the_alias_moves_when_all_who_serve_the_base_have_tested_and_not_before() -> None:
    alias = start(SERVING_ONE)
    for state in (FETCHING, WorkerState.VERIFIED, LOADED):
        alias = say(say(alias, "a", TESTED), "b", state)
        assert settle(alias, ["a", "b"], 1.0) == alias
        assert alias.active == ONE

    alias = settle(say(alias, "b", TESTED), ["a", "b"], 1.0)

    assert (alias.active, alias.previous, alias.rollout, outcome(alias)) == (TWO, (ONE,), None, Outcome.DONE)


def test_a_worker_that_joins_must_test_it_too() -> None:
    alias = say(start(SERVING_ONE), "a", TESTED)

    assert settle(alias, ["a", "b"], 1.0).active == ONE
    assert settle(say(alias, "b", TESTED), ["a", "b"], 2.0).active == TWO


def test_a_worker_that_left_is_not_waited_for_and_does_not_count() -> None:
    alias = say(start(SERVING_ONE), "a", TESTED)
    assert settle(say(alias, "gone", LOADED), ["a"], 1.0).active == TWO
    assert settle(say(alias, "gone", FAILED), ["a"], 1.0).active == TWO
    assert settle(alias, [], 1.0).active == ONE, "the only one that tested it is gone"
    assert settle(alias, ["b"], 1.0).active == ONE


def test_one_that_fails_ends_the_roll_out_and_leaves_what_was() -> None:
    alias = report(
        start(SERVING_ONE), "r", "b", Report(state=FAILED, at=1.0, code="adapter_not_finite", facts={"f": 1})
    )

    alias = settle(say(alias, "a", TESTED), ["a", "b"], 1.0)

    assert (alias.active, alias.previous, alias.rollout, outcome(alias)) == (ONE, (), None, Outcome.WORKER_FAILED)
    assert alias.last is not None
    assert alias.last.workers == ("b",)
    assert alias.last.rollout.reports["b"].code == "adapter_not_finite"


def test_the_deadline_ends_it_and_names_who_said_nothing() -> None:
    alias = say(say(start(SERVING_ONE), "a", TESTED), "b", LOADED)

    assert settle(alias, ["a", "b", "c"], TIMEOUT_S - 0.1) == alias
    alias = settle(alias, ["a", "b", "c"], TIMEOUT_S)

    assert (alias.active, outcome(alias)) == (ONE, Outcome.TIMED_OUT)
    assert alias.last is not None
    assert alias.last.workers == ("b", "c")


def test_without_a_worker_nothing_is_tested_so_nothing_moves() -> None:
    alias = start(SERVING_ONE)

    assert settle(alias, [], 1.0) == alias
    assert outcome(settle(alias, [], TIMEOUT_S)) is Outcome.NO_WORKERS


def test_all_tested_at_the_deadline_is_in_time() -> None:
    assert settle(say(start(SERVING_ONE), "a", TESTED), ["a"], TIMEOUT_S + 1).active == TWO


def test_reports_never_go_back_and_those_of_another_roll_out_are_ignored() -> None:
    alias = say(start(SERVING_ONE), "a", LOADED)

    assert say(alias, "a", FETCHING) == alias
    assert say(alias, "a", TESTED, "earlier") == alias
    assert say(SERVING_ONE, "a", TESTED) == SERVING_ONE
    for end, other in ((TESTED, FAILED), (FAILED, TESTED)):
        ended = say(alias, "a", end)
        assert say(ended, "a", other) == ended


def test_one_roll_out_at_a_time_and_the_same_twice_is_one() -> None:
    alias = start(SERVING_ONE)

    assert begin(alias, TWO, "other", 5.0, TIMEOUT_S) == alias
    with pytest.raises(AdapterBusy, match=TWO):
        start(alias, THREE)
    with pytest.raises(AdapterBusy):
        start(alias, TWO, share=0.1)
    assert start(SERVING_ONE, ONE) == SERVING_ONE


def test_activating_what_was_active_before_keeps_each_once() -> None:
    alias = activated(ONE, TWO, ONE)

    assert (alias.active, alias.previous) == (ONE, (TWO,))


def test_what_was_before_is_not_kept_without_end() -> None:
    assert len(activated(*(f"wallpaper@{number:012x}" for number in range(40))).previous) == 20


# Going back.


def test_going_back_leads_to_the_version_before_and_not_there_and_back() -> None:
    alias = activated(ONE, TWO, THREE)
    assert alias.wanted() == (THREE, TWO)

    for before in (TWO, ONE):
        alias = roll_back(alias, "r", 0.0, TIMEOUT_S)
        assert alias.active != before
        alias = settle(say(alias, "a", TESTED), ["a"], 1.0)
        assert alias.active == before

    with pytest.raises(AdapterNothingBefore):
        roll_back(alias, "r", 0.0, TIMEOUT_S)


def test_going_back_waits_for_nobody_who_fails_or_sleeps() -> None:
    alias = say(roll_back(activated(ONE, TWO), "r", 0.0, TIMEOUT_S), "a", TESTED)

    assert settle(say(alias, "b", FAILED), ["a", "b"], 1.0).active == ONE
    assert settle(alias, ["a", "b"], 1.0).active == TWO
    assert settle(alias, ["a", "b"], TIMEOUT_S).active == ONE


def test_going_back_to_what_nobody_can_load_ends_where_it_was() -> None:
    alias = say(roll_back(activated(ONE, TWO), "r", 0.0, TIMEOUT_S), "a", FAILED)

    assert settle(alias, ["a", "b"], 1.0) == alias, "the other may yet test it"
    ended = settle(alias, ["a"], 1.0)

    assert (ended.active, ended.previous, outcome(ended)) == (TWO, (ONE,), Outcome.WORKER_FAILED)


def test_going_back_while_a_version_rolls_out_ends_that() -> None:
    alias = roll_back(start(activated(ONE, TWO), THREE), "other", 1.0, TIMEOUT_S)

    assert (alias.active, alias.rollout, outcome(alias)) == (TWO, None, Outcome.CANCELLED)
    assert say(alias, "a", TESTED) == alias

    going_back = roll_back(alias, "r", 1.0, TIMEOUT_S)
    assert roll_back(going_back, "other", 2.0, TIMEOUT_S) == going_back


# Canaries.


def test_a_canary_gets_its_share_once_all_have_tested_it() -> None:
    alias = start(SERVING_ONE, share=0.25)
    assert {alias.choose(str(number)) for number in range(100)} == {ONE}

    alias = settle(say(alias, "a", TESTED), ["a"], 1.0)

    chosen = [alias.choose(str(number)) for number in range(4000)]
    assert alias.active == ONE
    assert chosen.count(TWO) / len(chosen) == pytest.approx(0.25, abs=0.03)
    assert alias.wanted() == (ONE, TWO)


@given(st.text(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_share_that_grows_lets_no_conversation_go(key: str, one: float, other: float) -> None:
    less, more = (
        SERVING_ONE.model_copy(update={"canary": Canary(adapter=TWO, share=share)}) for share in sorted((one, other))
    )

    assert less.choose(key) == less.choose(key)
    assert less.choose(key) == ONE or more.choose(key) == TWO


def test_a_canarys_share_changes_at_once_and_it_becomes_active_by_another_roll_out() -> None:
    canary = settle(say(start(SERVING_ONE, share=0.1), "a", TESTED), ["a"], 1.0)

    more = start(canary, share=0.5)
    assert (more.rollout, more.canary) == (None, Canary(adapter=TWO, share=0.5))
    assert end_canary(more, TWO, 2.0).canary is None
    assert end_canary(more, THREE, 2.0) == more

    active = settle(say(start(more), "a", TESTED), ["a"], 2.0)
    assert (active.active, active.canary) == (TWO, None)


def test_a_canary_that_rolls_out_can_be_called_off() -> None:
    alias = end_canary(start(SERVING_ONE, share=0.1), TWO, 1.0)

    assert (alias.rollout, alias.canary, outcome(alias)) == (None, None, Outcome.CANCELLED)
    assert end_canary(start(SERVING_ONE), TWO, 1.0).rollout is not None, "that one is no canary"


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_is_above_0_and_at_most_100_percent(share: float) -> None:
    with pytest.raises(CanaryShareInvalid):
        start(SERVING_ONE, share=share)


# The end of a version.


def test_a_version_in_use_is_not_retired() -> None:
    rolling = start(settle(say(start(SERVING_ONE, share=0.1), "a", TESTED), ["a"], 1.0), THREE)

    for version in (ONE, TWO, THREE):
        with pytest.raises(AdapterInUse, match=version):
            retire(rolling, version)


def test_a_retired_version_is_not_gone_back_to_and_not_rolled_out_until_it_is_pushed_again() -> None:
    alias = retire(retire(activated(ONE, TWO, THREE), TWO), TWO)

    assert (alias.previous, alias.retired) == ((ONE,), (TWO,))
    with pytest.raises(AdapterRetired, match=TWO):
        start(alias, TWO)
    assert start(revive(alias, TWO), TWO).rollout is not None


# Whatever happens.


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("report"), st.sampled_from("abc"), st.sampled_from(WorkerState)),
            st.tuples(st.just("settle"), st.sets(st.sampled_from("abc")), st.floats(0, 2 * TIMEOUT_S)),
            st.tuples(st.just("begin"), st.sampled_from([ONE, TWO, THREE]), st.sampled_from([None, 0.5])),
            st.tuples(st.just("roll_back"), st.none(), st.none()),
        ),
        max_size=30,
    )
)
def test_the_alias_moves_only_to_what_every_living_worker_has_tested(steps: list[tuple[str, object, object]]) -> None:
    alias = SERVING_ONE
    for number, (step, one, other) in enumerate(steps):
        before = alias
        try:
            match step:
                case "report":
                    rollout_id = alias.rollout.id if alias.rollout else ""
                    alias = say(alias, one, other, rollout_id)  # type: ignore[arg-type]  # as drawn above
                case "settle":
                    alias = settle(alias, one, other)  # type: ignore[arg-type]
                case "begin":
                    alias = begin(alias, one, str(number), 0.0, TIMEOUT_S, share=other)  # type: ignore[arg-type]
                case "roll_back":
                    alias = roll_back(alias, str(number), 0.0, TIMEOUT_S)
        except (AdapterBusy, AdapterNothingBefore):
            assert alias == before
        if (alias.active, alias.canary) != (before.active, before.canary) and before.rollout:
            assert step == "settle"
            assert isinstance(one, set)
            states = [before.rollout.reports[worker].state for worker in one if worker in before.rollout.reports]
            assert TESTED in states
            if before.rollout.intent is not Intent.ROLLBACK:
                assert states == [TESTED] * len(one)
        assert alias.active not in alias.previous
        assert Alias.model_validate(alias.model_dump(mode="json")) == alias
