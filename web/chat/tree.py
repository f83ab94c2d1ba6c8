"""All turns of a conversation as the tree they are: questions asked anew and answers given anew are siblings. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from shared.chat import Generation


class Tree:
    """Siblings stand in the order they were made (ids sort by time)."""

    def __init__(self, turns: Iterable[Generation]) -> None:
        self._turns = {turn.id: turn for turn in turns}
        self._below: dict[str | None, list[str]] = defaultdict(list)
        for turn_id in sorted(self._turns):
            self._below[self._turns[turn_id].parent_id].append(turn_id)

    def get(self, turn_id: str) -> Generation | None:
        return self._turns.get(turn_id)

    def path(self, leaf_id: str | None) -> list[Generation]:
        """From the first question to this turn; empty if it is not here."""
        path: list[Generation] = []
        while leaf_id is not None and leaf_id in self._turns and len(path) < len(self._turns):
            path.append(self._turns[leaf_id])
            leaf_id = path[-1].parent_id
        return path[::-1]

    def below(self, turn_id: str) -> list[str]:
        """The turns that follow this one."""
        return self._below.get(turn_id, [])

    def siblings(self, turn: Generation) -> list[str]:
        """The turns that follow the same one, it among them."""
        return self._below[turn.parent_id]

    def latest_leaf(self, turn_id: str) -> str:
        """Where the branch ends that was last used of those through this turn."""
        leaves, seen = [turn_id], []
        while leaves:
            at = leaves.pop()
            if below := self._below.get(at):
                leaves.extend(below)
            else:
                seen.append(at)
        return max(seen)
