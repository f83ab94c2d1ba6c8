"""The turns of a conversation as a tree: paths, siblings, and where a branch was last used."""

from __future__ import annotations

from shared.chat import Generation
from tests.factories import generation
from web.chat.tree import Tree


def _turn(name: str, parent: str | None = None) -> Generation:
    return generation(id=name, parent_id=parent)


TREE = Tree([_turn("a"), _turn("b", "a"), _turn("c", "b"), _turn("d", "a"), _turn("e"), _turn("f", "b")])


def test_a_path_leads_from_the_first_question_to_its_end() -> None:
    assert [turn.id for turn in TREE.path("f")] == ["a", "b", "f"]
    assert TREE.path(None) == TREE.path("unknown") == []


def test_siblings_follow_the_same_turn_in_the_order_they_were_made() -> None:
    assert TREE.siblings(_turn("x", "b")) == ["c", "f"]
    assert TREE.siblings(_turn("x", "a")) == ["b", "d"]
    assert TREE.siblings(_turn("a")) == ["a", "e"]


def test_the_branch_that_was_used_last_is_the_one_with_the_newest_turn() -> None:
    assert TREE.latest_leaf("a") == "f"
    assert TREE.latest_leaf("b") == "f"
    assert TREE.latest_leaf("d") == "d"


def test_a_circle_that_nobody_made_ends() -> None:
    assert len(Tree([_turn("a", "b"), _turn("b", "a")]).path("a")) == 2
