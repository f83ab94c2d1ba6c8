"""Which GPUs this machine has, found without importing torch (seconds, and memory on every GPU)."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from shared.errors import ConfigError
from shared.settings import visible_gpus

_LIST_COMMAND = ("nvidia-smi", "-L")
_DRIVER = Path("/proc/driver/nvidia/gpus")
_TIMEOUT_S = 20.0


def gpu_names() -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to say for each GPU we may use; our numbers (`--gpu 0`) count this list."""
    allowed = visible_gpus()
    if allowed is not None:
        return allowed
    return [str(number) for number in range(_count())]


def gpu_name(number: int) -> str:
    """Raises ConfigError if there is no such GPU."""
    names = gpu_names()
    if number < len(names):
        return names[number]
    raise ConfigError(f"there is no GPU {number} here ({_found(names)})")


def chosen_gpus(wanted: str) -> list[int]:
    """`all` or `0,2`. Raises ConfigError."""
    names = gpu_names()
    if not names:
        raise ConfigError("there is no GPU here; `nunmal fleet --workers N` runs N workers on CPUs")
    if wanted == "all":
        return list(range(len(names)))
    try:
        numbers = sorted({int(number) for number in wanted.split(",")})
    except ValueError as error:
        raise ConfigError(f"--gpus {wanted}: expected `all` or numbers like 0,2") from error
    for number in numbers:
        if not 0 <= number < len(names):
            raise ConfigError(f"--gpus {wanted}: there is no GPU {number} here ({_found(names)})")
    return numbers


def _found(names: Sequence[str]) -> str:
    return f"found {len(names)}, counted from 0" if names else "none was found"


def _count() -> int:
    """As nvidia-smi counts them: in the order of their PCI addresses."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(  # noqa: S603  # a fixed command
            _LIST_COMMAND, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
        return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else 0
