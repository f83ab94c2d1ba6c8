"""The README tells of every task that newcomers are watched at."""

from __future__ import annotations

from tests.service import ROOT
from tests.ux.tasks import TASKS


def test_the_readme_lists_every_task() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(TASKS) == 12
    assert [task.__name__ for task in TASKS if f"`{task.__name__}`" not in readme] == []
