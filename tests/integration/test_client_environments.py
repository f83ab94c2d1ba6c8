"""A client that cannot be installed is told, and does not keep the others from their cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import environments
from tests.clients.environments import NotSetUp, python_of


def test_a_list_without_hashes_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_HERE", tmp_path)
    monkeypatch.setattr(environments, "_BUILD", tmp_path / "build")
    (tmp_path / "openai.txt").write_text("openai==3.52.0\n")

    with pytest.raises(NotSetUp, match=r"openai: .*hash"):
        python_of("openai")

    assert not (tmp_path / "build" / "openai" / "installed.txt").exists()
