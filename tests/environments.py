"""Virtual environments for what cannot live in ours: clients of other versions, peers of the engine.

Each has exactly what its list of packages says. The lists are made like those of infra/locks/:

    pip-compile --generate-hashes --strip-extras --no-emit-options --allow-unsafe --no-header --upgrade \\
        --output-file NAME.txt NAME.in
"""

from __future__ import annotations

import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

_INSTALL_WITHIN_S = 1800


class NotInstalled(Exception):
    """The message names the log, and its last line."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One in `directory`; what pip says lies beside it."""

    directory: Path
    packages: Path  # a list with hashes
    others: Path | None = None  # one without: torch, whose wheels differ from machine to machine
    index: str | None = None  # where those others are; None: where pip looks

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def log(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.install.log")

    @property
    def is_made(self) -> bool:
        """With the lists as they are now."""
        return self._marker.exists() and self._marker.read_text() == self._wanted()

    def make(self) -> Path:
        """The interpreter, installed now if a list has changed. Raises NotInstalled."""
        if self.is_made:
            return self.python
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log.open("w") as log:
                venv.create(self.directory, with_pip=True, clear=True)
                self._pip(log.fileno(), "--require-hashes", "--no-deps", "--requirement", str(self.packages))
                if self.others is not None:
                    index = ["--index-url", self.index] if self.index else []
                    self._pip(log.fileno(), *index, "--requirement", str(self.others))
        except (OSError, subprocess.SubprocessError) as error:
            said = self.log.read_text().strip().splitlines()[-1:] or [str(error)]
            raise NotInstalled(f"{self.directory.name} is not installed: {said[0]} ({self.log})") from error
        self._marker.write_text(self._wanted())
        return self.python

    @property
    def _marker(self) -> Path:
        return self.directory / "installed.txt"

    def _wanted(self) -> str:
        return self.packages.read_text() + (self.others.read_text() if self.others else "")

    def _pip(self, log: int, *what: str) -> None:
        command = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-compile"]
        subprocess.run([*command, *what], stdout=log, stderr=log, check=True, timeout=_INSTALL_WITHIN_S)
