"""The engine's policy: who computes what in which block, checked by a memory that holds what it was told to hold."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine.block_pool import BlockPool
from workers.engine.scheduler import Piece, Scheduler

SIZE = 4


class Memory:
    """Computes pieces as an engine would, but writes down (root, token) instead of keys and values."""

    def __init__(self, blocks: int, slots: int = 3) -> None:
        self.scheduler = Scheduler(BlockPool(blocks, SIZE), slots)
        self.tokens: dict[str, list[int]] = {}
        self.roots: dict[str, str] = {}
        self._places: dict[int, tuple[str, int]] = {}

    def add(self, name: str, tokens: Sequence[int], root: str = "") -> None:
        self.tokens[name], self.roots[name] = list(tokens), root
        self.scheduler.add(name, self.tokens[name], root)

    def step(self, budget: int = 8) -> list[Piece]:
        """Everybody's next token is 7 times its sequence's length."""
        pieces = self.scheduler.plan(budget)
        for piece in pieces:
            self._compute(piece)
        self.scheduler.advance(pieces)
        for piece in pieces:
            if piece.is_last:
                self.tokens[piece.request_id].append(7 * len(self.tokens[piece.request_id]) % 100)
        return pieces

    def _compute(self, piece: Piece) -> None:
        tokens, root = self.tokens[piece.request_id], self.roots[piece.request_id]
        for position in range(piece.start, piece.stop):
            self._places[self._place(piece, position)] = (root, tokens[position])
        seen = [self._places.get(self._place(piece, position)) for position in range(piece.stop)]
        assert seen == [(root, token) for token in tokens[: piece.stop]]
        assert piece.is_last == (piece.stop == len(tokens))

    @staticmethod
    def _place(piece: Piece, position: int) -> int:
        return piece.table[position // SIZE] * SIZE + position % SIZE

    def remove(self, name: str, *, is_sound: bool = True) -> None:
        self.scheduler.remove(name, is_sound=is_sound)


def spans(pieces: Sequence[Piece]) -> list[tuple[str, int, int]]:
    return [(piece.request_id, piece.start, piece.stop) for piece in pieces]


def test_prompts_are_read_in_pieces_beside_those_that_decode() -> None:
    memory = Memory(blocks=20)
    memory.add("a", range(6))
    memory.add("b", range(10, 25))

    steps = [spans(memory.step(budget=8)) for _ in range(3)]

    assert steps == [
        [("a", 0, 6), ("b", 0, 2)],
        [("a", 6, 7), ("b", 2, 10)],
        [("a", 7, 8), ("b", 10, 15)],
    ]


def test_without_a_budget_prompts_wait_for_one_step_unless_nobody_decodes() -> None:
    memory = Memory(blocks=20)
    memory.add("a", [1, 2])

    assert [spans(memory.step(budget=0)) for _ in range(2)] == [[("a", 0, 1)], [("a", 1, 2)]]
    memory.add("b", [1, 2, 3])
    assert spans(memory.step(budget=0)) == [("a", 2, 3)]


def test_no_more_than_the_slots_compute_and_the_others_follow_in_order() -> None:
    memory = Memory(blocks=20, slots=1)
    for name in "abc":
        memory.add(name, [ord(name)])
    order = []
    for _ in range(3):
        (piece,) = memory.step()
        order.append(piece.request_id)
        memory.remove(piece.request_id)

    assert order == ["a", "b", "c"]
    assert memory.step() == []


def test_who_begins_alike_computes_only_what_differs() -> None:
    memory = Memory(blocks=20)
    system = list(range(50, 60))
    memory.add("a", [*system, 1])
    while not memory.step()[-1].is_last:
        pass
    memory.add("b", [*system, 2])

    assert spans(memory.step())[-1] == ("b", 8, 11)
    assert memory.scheduler.shared_tokens == 8


def test_what_was_computed_serves_after_its_owner_has_left() -> None:
    memory = Memory(blocks=20)
    memory.add("a", range(8))
    for _ in range(6):
        memory.step()
    memory.remove("a")
    memory.add("next turn", [*memory.tokens["a"], 99, 98])

    assert spans(memory.step()) == [("next turn", 12, 16)]


def test_the_last_token_is_computed_even_if_all_of_it_is_remembered() -> None:
    memory = Memory(blocks=20)
    memory.add("a", range(8))
    memory.step()
    memory.add("b", range(8))

    assert spans(memory.step()) == [("a", 8, 9), ("b", 4, 8)]


def test_nothing_is_shared_under_another_root() -> None:
    memory = Memory(blocks=20)
    memory.add("a", range(9), root="adapter")
    memory.step(20)
    memory.add("b", range(9), root="")

    assert spans(memory.step(20)) == [("a", 9, 10), ("b", 0, 9)]


def test_what_failed_is_not_shared() -> None:
    memory = Memory(blocks=20)
    memory.add("a", range(9))
    memory.step(20)
    memory.remove("a", is_sound=False)
    memory.add("b", range(9))

    assert spans(memory.step(20)) == [("b", 0, 9)]


def test_without_memory_the_last_comer_gives_way_and_comes_again() -> None:
    memory = Memory(blocks=5, slots=2)
    memory.add("a", range(7))
    memory.add("b", range(10, 17))
    for _ in range(4):
        memory.step(20)

    assert (memory.scheduler.running, memory.scheduler.waiting, memory.scheduler.preemptions) == (1, 1, 1)
    memory.remove("a")
    assert [piece.request_id for piece in memory.step(20)] == ["b"]


def test_nobody_begins_whose_prompt_would_push_others_out() -> None:
    memory = Memory(blocks=5)
    memory.add("a", range(8))
    memory.step(20)
    memory.add("b", range(10, 24))
    memory.step(20)

    assert (memory.scheduler.running, memory.scheduler.waiting) == (1, 1)


def test_shedding_load_sends_the_later_half_back() -> None:
    memory = Memory(blocks=40, slots=5)
    for name in "abcde":
        memory.add(name, [ord(name)] * 5)
    memory.step(100)

    assert memory.scheduler.shed() == 3
    assert {piece.request_id for piece in memory.step(100)} == set("abc")


def test_after_shedding_one_more_is_tried_after_a_while() -> None:
    memory = Memory(blocks=200, slots=4)
    for name in "abcd":
        memory.add(name, [ord(name)])
    memory.step(100)
    memory.scheduler.shed()

    counts = [len(memory.step(100)) for _ in range(201)]

    assert (counts[0], counts[99], counts[100], counts[199], counts[200]) == (2, 2, 3, 3, 4)


@pytest.mark.parametrize("tokens", [[], range(SIZE * 4 + 1)])
def test_what_cannot_be_computed_is_refused(tokens: Sequence[int]) -> None:
    with pytest.raises(ValueError, match=r"empty|memory"):
        Memory(blocks=4).add("a", tokens)


def test_an_id_is_used_by_one_at_a_time() -> None:
    memory = Memory(blocks=4)
    memory.add("a", [1])
    with pytest.raises(ValueError, match="already"):
        memory.add("a", [2])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 30), st.integers(1, 5), st.integers(1, 20))
def test_whatever_happens_everybody_sees_their_own_tokens_and_ends(
    seed: int, blocks: int, slots: int, budget: int
) -> None:
    """Random arrivals that begin alike, cancellations, failures and shedding in too little memory. `Memory` checks
    every piece; at the end every block can be had again."""
    chance = random.Random(seed)
    memory = Memory(blocks, slots)
    longest = blocks * SIZE
    ends: dict[str, int] = {}
    for number in range(12):
        length = chance.randrange(1, longest)
        memory.add(f"{number}", [chance.randrange(2) for _ in range(length)], chance.choice(["", "adapter"]))
        ends[f"{number}"] = chance.randrange(length + 1, longest + 1)
        for _ in range(chance.randrange(4)):
            _advance(memory, ends, budget, chance)
    for _ in range(10_000):
        if not ends:
            break
        _advance(memory, ends, budget, chance)

    assert not ends
    assert memory.scheduler.pool.available == blocks


def _advance(memory: Memory, ends: dict[str, int], budget: int, chance: random.Random) -> None:
    budget = chance.choice((budget, 0))
    pieces = memory.step(budget)
    assert sum(piece.stop - piece.start for piece in pieces if not piece.is_decoding) <= max(1, budget)
    for name in [name for name in ends if len(memory.tokens[name]) >= ends[name] or chance.random() < 0.01]:
        del ends[name]
        memory.remove(name, is_sound=chance.random() < 0.8)
    if chance.random() < 0.02:
        memory.scheduler.shed()
