"""Rows without gaps, never more than the slots, first come first served, and nobody starves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workers.engine.scheduler import Move, PrefillChunk, Removal, Scheduler


def read_all(scheduler: Scheduler) -> None:
    while chunk := scheduler.next_chunk(1000):
        scheduler.advance(chunk)


def test_a_long_prompt_is_read_in_chunks_and_decodes_after_the_last() -> None:
    scheduler = Scheduler(slots=2, prefill_chunk=4)
    scheduler.add("a", 6)

    first = scheduler.next_chunk(4)
    assert first == PrefillChunk("a", 0, 0, 4, is_last=False)
    scheduler.advance(first)
    assert scheduler.decoding() == ()

    second = scheduler.next_chunk(4)
    assert second == PrefillChunk("a", 0, 4, 6, is_last=True)
    scheduler.advance(second)
    assert scheduler.decoding() == ("a",)


def test_a_chunk_that_was_not_read_is_offered_again() -> None:
    scheduler = Scheduler(slots=1, prefill_chunk=4)
    scheduler.add("a", 6)

    assert scheduler.next_chunk(4) == scheduler.next_chunk(4)


def test_requests_wait_in_order_until_a_row_is_free() -> None:
    scheduler = Scheduler(slots=2, prefill_chunk=8)
    for name in "abcd":
        scheduler.add(name, 2)
    read_all(scheduler)

    assert (scheduler.decoding(), scheduler.waiting) == (("a", "b"), 2)
    scheduler.remove("a")
    read_all(scheduler)
    assert scheduler.decoding() == ("b", "c")


def test_the_last_row_moves_into_the_freed_one() -> None:
    scheduler = Scheduler(slots=4, prefill_chunk=8)
    for name in "abc":
        scheduler.add(name, 2)
    read_all(scheduler)

    assert scheduler.remove("a") == Removal((Move(2, 0),), 2)
    assert scheduler.decoding() == ("c", "b")


def test_a_prefilling_row_closes_up_behind_the_decoding_ones() -> None:
    scheduler = Scheduler(slots=4, prefill_chunk=8)
    for name in "abc":
        scheduler.add(name, 2)
    read_all(scheduler)
    scheduler.add("long", 9)
    chunk = scheduler.next_chunk(4)
    assert chunk is not None
    scheduler.advance(chunk)

    assert scheduler.remove("a") == Removal((Move(2, 0), Move(3, 2)), 3)
    assert scheduler.next_chunk(100) == PrefillChunk("long", 2, 4, 9, is_last=True)


def test_a_waiting_request_leaves_without_touching_rows() -> None:
    scheduler = Scheduler(slots=1, prefill_chunk=8)
    scheduler.add("a", 2)
    read_all(scheduler)
    scheduler.add("b", 2)

    assert scheduler.remove("b") == Removal()
    assert scheduler.waiting == 0


def test_an_unknown_request_is_ignored() -> None:
    assert Scheduler(1, 1).remove("nobody") == Removal()


@pytest.mark.parametrize(("slots", "chunk"), [(0, 1), (1, 0)])
def test_impossible_sizes_are_refused(slots: int, chunk: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Scheduler(slots, chunk)


def test_an_id_that_is_here_is_refused() -> None:
    scheduler = Scheduler(1, 1)
    scheduler.add("a", 1)

    with pytest.raises(ValueError, match="already here"):
        scheduler.add("a", 1)


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    slots=st.integers(1, 5),
    chunk=st.integers(1, 16),
    answers=st.data(),
)
def test_everybody_is_served_and_decoding_never_waits_for_more_than_a_chunk(
    lengths: list[int], slots: int, chunk: int, answers: st.DataObject
) -> None:
    scheduler = Scheduler(slots, chunk)
    left = {}
    for number, length in enumerate(lengths):
        scheduler.add(str(number), length)
        left[str(number)] = answers.draw(st.integers(1, 6))
    steps = 0

    while left:
        steps += 1
        budget = chunk
        while piece := scheduler.next_chunk(budget):
            budget -= piece.stop - piece.start
            scheduler.advance(piece)
        assert budget >= 0
        for name in scheduler.decoding():
            left[name] -= 1
            if left[name] == 0:
                del left[name]
                scheduler.remove(name)
        assert steps <= sum(lengths) + 6 * len(lengths), "somebody starves"

    assert (scheduler.running, scheduler.waiting) == (0, 0)


class RowsMachine(RuleBasedStateMachine):
    """The scheduler beside an obvious twin: a list of rows whose contents are moved as it says."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(slots=4, prefill_chunk=8)
        self.contents: list[str | None] = [None] * 4  # what a cache would hold
        self.known: set[str] = set()
        self.made = 0

    @rule(length=st.integers(1, 20))
    def arrives(self, length: int) -> None:
        name = str(self.made)
        self.made += 1
        self.known.add(name)
        self.scheduler.add(name, length)

    @rule(budget=st.integers(1, 12))
    def reads(self, budget: int) -> None:
        if chunk := self.scheduler.next_chunk(budget):
            assert chunk.stop - chunk.start <= budget
            self.contents[chunk.row] = chunk.request_id
            self.scheduler.advance(chunk)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        self.known.remove(name)
        removal = self.scheduler.remove(name)
        for move in removal.moves:
            self.contents[move.target] = self.contents[move.source]
        if removal.freed_row is not None:
            self.contents[removal.freed_row] = None

    @invariant()
    def rows_hold_what_the_scheduler_says(self) -> None:
        decoding = self.scheduler.decoding()
        assert self.scheduler.running <= 4
        assert tuple(self.contents[: len(decoding)]) == decoding
        assert self.scheduler.running + self.scheduler.waiting == len(self.known)
        assert set(decoding) <= self.known
        assert self.scheduler.running - len(decoding) in (0, 1)
        assert all(row is None for row in self.contents[self.scheduler.running :])


RowsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRows = RowsMachine.TestCase
