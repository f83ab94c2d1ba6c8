"""One virtual environment for each client under build/clients/, with exactly what its list of packages says.

The lists are made like those of infra/locks/:

    pip-compile --generate-hashes --strip-extras --no-emit-options --allow-unsafe --no-header --upgrade \\
        --output-file tests/clients/NAME.txt tests/clients/NAME.in
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tests.service import ROOT

CLIENTS = ("openai", "litellm", "langchain", "llm", "lm_eval")

_HERE = Path(__file__).parent
_BUILD = ROOT / "build" / "clients"
_INSTALL_WITHIN_S = 900


class NotSetUp(Exception):
    """A client could not be installed; the message says why."""


def python_of(client: str) -> Path:
    """The interpreter of its environment, made now if its list has changed. Raises NotSetUp."""
    wanted = (_HERE / f"{client}.txt").read_text()
    directory = _BUILD / client
    installed = directory / "installed.txt"
    python = directory / "bin" / "python"
    if not installed.exists() or installed.read_text() != wanted:
        try:
            venv.create(directory, with_pip=True, clear=True)
            _install(python, client)
        except (OSError, subprocess.SubprocessError) as error:
            raise NotSetUp(f"{client}: {error}") from error
        installed.write_text(wanted)
    return python


def _install(python: Path, client: str) -> None:
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-compile"]
    done = subprocess.run(
        [*pip, "--require-hashes", "--no-deps", "--requirement", str(_HERE / f"{client}.txt")],
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_INSTALL_WITHIN_S,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise NotSetUp(f"{client}: {reason[0]}")
