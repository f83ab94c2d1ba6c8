"""A step of the optimiser takes the same rows however many processes share it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigError

pytest.importorskip("accelerate")
from accelerate.commands.config.config_args import load_config_from_file

from training.tune import processes
from training.tune.processes import Share


@pytest.mark.parametrize(
    ("batch", "accumulation", "count", "expected"),
    [
        (8, 1, 1, Share(8, 1)),
        (8, 1, 2, Share(4, 1)),
        (8, 2, 4, Share(4, 1)),
        (4, 6, 2, Share(4, 3)),
        (4, 3, 2, Share(3, 2)),  # of 6 rows no 4 fit without a rest
        (1, 2, 2, Share(1, 1)),
    ],
)
def test_a_step_is_shared_evenly(
    batch: int, accumulation: int, count: int, expected: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "count", lambda: count)

    assert processes.share(batch, accumulation) == expected


def test_rows_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 4)

    with pytest.raises(ConfigError, match="4 processes cannot share the 6 rows of a step"):
        processes.share(3, 2)


@pytest.mark.parametrize(
    ("name", "count", "kind"),
    [("one_cpu", 1, "NO"), ("two_cpu_processes", 2, "MULTI_GPU"), ("four_a100_fsdp", 4, "FSDP")],
)
def test_accelerate_knows_every_key_of_the_launch_files(name: str, count: int, kind: str) -> None:
    file = Path(__file__).parents[4] / "training" / "recipes" / "accelerate" / f"{name}.yaml"

    config = load_config_from_file(str(file))

    assert (config.num_processes, config.distributed_type.value) == (count, kind)
