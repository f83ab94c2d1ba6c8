"""A training takes only the options that it follows."""

from __future__ import annotations

import sys

import pytest

from training.arguments import parse, parse_stage


def test_show_is_known_only_where_there_is_something_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "recipe.yaml", "--show"])

    assert parse(None, can_show=True).show
    with pytest.raises(SystemExit):
        parse(None)


def test_stage_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "recipe.yaml", "--stage", "reason"])
    arguments, stage = parse_stage(None)
    monkeypatch.setattr(sys, "argv", ["train", "recipe.yaml"])

    assert (arguments.recipe.name, arguments.show, stage) == ("recipe.yaml", False, "reason")
    with pytest.raises(SystemExit):
        parse_stage(None)
