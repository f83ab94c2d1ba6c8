"""Accounts and keys by the operator's commands, while the service runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.service import PASSWORD, ROOT


def nunmal(home: Path, *command: str, given: str = "") -> str:
    """What `nunmal COMMAND` prints for the service that runs in `home`. Raises CalledProcessError."""
    program = str(Path(sys.executable).with_name("nunmal"))
    settings = {"NUNMAL_HOME": str(home), "NUNMAL_WEB__BCRYPT_ROUNDS": "4", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [program, *command], cwd=ROOT, env=settings, input=given, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.strip()


def make_user(home: Path, email: str, name: str, role: str = "user") -> str:
    """Returns the account's id; its password is tests.service.PASSWORD."""
    return nunmal(home, "users", "create", email, "--name", name, "--role", role, given=f"{PASSWORD}\n")


def make_key(home: Path, email: str, *options: str) -> str:
    """Returns the secret."""
    return nunmal(home, "keys", "create", email, *options)
