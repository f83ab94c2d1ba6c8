"""Which GPUs are found, and what `--gpu` and `--gpus` make of them, without a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra import gpus
from infra.cli import run
from infra.gpus import chosen_gpus, gpu_name, gpu_names
from shared.errors import ConfigError
from shared.settings import environment_with, pin_gpu

LISTING = """\
GPU 0: NVIDIA H200 (UUID: GPU-3f7a)
  MIG 1g.18gb     Device  0: (UUID: MIG-5c1e)
GPU 1: NVIDIA H200 (UUID: GPU-9b22)
GPU 2: NVIDIA H200 (UUID: GPU-c0de)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without GPUs: its programs and its driver are what the test puts there."""
    monkeypatch.setattr(gpus, "_LIST_COMMAND", (str(tmp_path / "nvidia-smi"), "-L"))
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "driver")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def install(machine: Path, listing: str = LISTING, code: int = 0) -> None:
    program = machine / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\nexit {code}\n")
    program.chmod(0o755)


def test_nvidia_smi_counts(machine: Path) -> None:
    install(machine)

    assert gpu_names() == ["0", "1", "2"]


def test_without_nvidia_smi_the_driver_counts(machine: Path) -> None:
    for address in ("0000:01:00.0", "0000:02:00.0"):
        (machine / "driver" / address).mkdir(parents=True)

    assert gpu_names() == ["0", "1"]


def test_a_broken_nvidia_smi_counts_nothing(machine: Path) -> None:
    install(machine, "NVIDIA-SMI has failed\n", code=9)

    assert gpu_names() == []


@pytest.mark.parametrize(
    ("visible", "names"), [("2,3", ["2", "3"]), ("GPU-3f7a, GPU-9b22", ["GPU-3f7a", "GPU-9b22"]), ("", []), ("-1", [])]
)
def test_what_the_environment_allows_is_all_there_is(
    machine: Path, monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    install(machine)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert gpu_names() == names


def test_all_or_some(machine: Path) -> None:
    install(machine)

    assert chosen_gpus("all") == [0, 1, 2]
    assert chosen_gpus("2,0,2") == [0, 2]
    assert gpu_name(2) == "2"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("0,7", r"--gpus 0,7: there is no GPU 7 here \(found 3, counted from 0\)"),
        ("-1", "--gpus -1: there is no GPU -1 here"),
        ("both", "--gpus both: expected `all` or numbers like 0,2"),
        ("", "--gpus : expected `all` or numbers like 0,2"),
    ],
)
def test_what_is_not_there_is_named(machine: Path, wanted: str, message: str) -> None:
    install(machine)

    with pytest.raises(ConfigError, match=message):
        chosen_gpus(wanted)


def test_a_machine_without_gpus_is_pointed_to_workers(machine: Path) -> None:
    with pytest.raises(ConfigError, match="there is no GPU here; `nunmal fleet --workers N`"):
        chosen_gpus("all")
    with pytest.raises(ConfigError, match=r"there is no GPU 0 here \(none was found\)"):
        gpu_name(0)


def test_pinning_hides_the_others_from_this_process_and_its_children(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")  # restored afterwards
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")

    pin_gpu(gpu_name(1))

    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    child = environment_with(NUNMAL_METRICS_PORT="9000")
    assert (child["CUDA_VISIBLE_DEVICES"], child["NUNMAL_METRICS_PORT"]) == ("3", "9000")
    assert child["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST", "the order in which somebody else counted"
    assert "NUNMAL_METRICS_PORT" not in os.environ


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fleet"], "one of the arguments --gpus --workers is required"),
        (["fleet", "--gpus", "all", "--workers", "2"], "not allowed with argument"),
        (["fleet", "--workers", "0"], "'0' is not a number from 1 up"),
        (["worker", "--gpu", "first"], "'first' is not a number from 0 up"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)

    assert ended.value.code == 2
    assert words in capsys.readouterr().err
