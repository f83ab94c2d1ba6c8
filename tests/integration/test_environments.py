"""What cannot be installed is told, with its log, and is not taken for installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import Environment, NotInstalled


def test_a_list_without_hashes_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "openai.txt").write_text("openai==3.52.0\n")
    environment = Environment(tmp_path / "build" / "openai", tmp_path / "openai.txt")

    with pytest.raises(NotInstalled, match=r"openai is not installed: .*hash.*openai\.install\.log"):
        environment.make()

    assert "hash" in environment.log.read_text()
    assert not environment.is_made


def test_a_list_that_names_nothing_is_installed_once_until_it_changes(tmp_path: Path) -> None:
    packages = tmp_path / "none.txt"
    packages.write_text("# nothing\n")
    environment = Environment(tmp_path / "build" / "none", packages)

    python = environment.make()
    made_at = python.lstat().st_mtime_ns

    assert environment.is_made
    assert environment.make().lstat().st_mtime_ns == made_at
    packages.write_text("# nothing else\n")
    assert not environment.is_made
