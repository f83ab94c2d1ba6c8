"""When, where and of what a measurement was taken."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from tests.bench.processes import Cores
from tests.service import ROOT


def commit() -> str:
    """ "" where there is no repository."""
    return _told("git rev-parse HEAD")


def circumstances(module: str, cores: Cores) -> dict[str, Any]:
    """`module` is the one that was started with `python -m`."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "commit": commit(),
        "uncommitted_changes": bool(_told("git status --porcelain")),
        "machine": {
            "cores": os.cpu_count(),
            "engine_core": cores.engine,
            "other_cores": sorted(cores.others),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[0],  # processes that wanted a core beside us
        },
    }


def _told(command: str) -> str:
    return subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True).stdout.strip()
