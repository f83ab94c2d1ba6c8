"""The GPTQ extra stays beside the main environment: pinned, and imported by nothing of ours."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
_EXTRA = _ROOT / "training" / "gptq"


def test_every_package_of_its_environment_is_pinned_and_hashed_and_torch_is_left_to_the_machine() -> None:
    lines = (_EXTRA / "requirements.txt").read_text("utf-8").splitlines()
    named = [line for line in lines if line and not line.startswith(("#", " "))]

    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+ \\", line) for line in named)
    assert lines.count("") == 0 and len([line for line in lines if "--hash=sha256:" in line]) == len(named)
    assert "llmcompressor==0.14.0.1 \\" in named
    assert not [line for line in named if line.startswith(("torch==", "nvidia-cu", "triton"))]


def test_nothing_of_ours_needs_it() -> None:
    rooms = ("web", "workers", "training", "shared", "infra", "vision")
    ours = [path for room in rooms for path in (_ROOT / room).rglob("*.py")]
    names = re.compile(r"llmcompressor|compressed_tensors|training\.gptq")

    assert [path for path in ours if names.search(path.read_text("utf-8"))] == [_EXTRA / "quantise.py"]
    assert "llmcompressor" not in (_ROOT / "pyproject.toml").read_text("utf-8").partition("[tool.mypy]")[0]
