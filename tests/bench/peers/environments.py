"""An environment for each peer that cannot live in ours, under build/peers/, with exactly what its list says.

The lists are made like those of tests/clients/, with torch and what belongs to it left out:

    pip-compile --generate-hashes --strip-extras --no-emit-options --allow-unsafe --no-header --upgrade \\
        --unsafe-package torch --unsafe-package torchvision --unsafe-package torchaudio --unsafe-package torchcodec \\
        --constraint infra/locks/torch.txt --output-file tests/bench/peers/NAME.txt tests/bench/peers/NAME.in

transformers_serve takes `--constraint infra/locks/run.txt` beside it, so that it is the transformers that we use.
"""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

from tests.service import ROOT

PEERS = ("transformers_serve", "vllm_cpu")

BUILD = ROOT / "build" / "peers"
_HERE = Path(__file__).parent
_TORCH = ROOT / "infra" / "locks" / "torch.txt"
_INSTALL_WITHIN_S = 1800


class PeerMissing(Exception):
    """A peer could not be installed or did not start; the message names its log."""


def log_of(peer: str) -> Path:
    """What was said while it was installed."""
    return BUILD / f"{peer}.install.log"


def installed(peer: str) -> Path:
    """The interpreter of its environment. Raises PeerMissing if `install` has not made it or could not."""
    marker = BUILD / peer / "installed.txt"
    if not marker.exists() or marker.read_text() != _wanted(peer):
        log = log_of(peer)
        reason = f"see {log.relative_to(ROOT)}" if log.exists() else "`make bench-peers` has not been run"
        raise PeerMissing(f"{peer} is not installed: {reason}")
    return _python(peer)


def install(peer: str) -> Path:
    """The interpreter of its environment, made now if its list has changed. Raises PeerMissing."""
    marker = BUILD / peer / "installed.txt"
    if not marker.exists() or marker.read_text() != _wanted(peer):
        BUILD.mkdir(parents=True, exist_ok=True)
        index = os.environ.get("TORCH_INDEX")
        with log_of(peer).open("w") as log:
            try:
                venv.create(BUILD / peer, with_pip=True, clear=True)
                _pip(peer, log.fileno(), "--require-hashes", "--no-deps", "--requirement", str(_HERE / f"{peer}.txt"))
                _pip(peer, log.fileno(), *(["--index-url", index] if index else []), "--requirement", str(_TORCH))
            except (OSError, subprocess.SubprocessError) as error:
                log.write(f"{error}\n")
                raise PeerMissing(f"{peer} is not installed: see {log_of(peer).relative_to(ROOT)}") from error
        marker.write_text(_wanted(peer))
    return _python(peer)


def _wanted(peer: str) -> str:
    return (_HERE / f"{peer}.txt").read_text() + _TORCH.read_text()


def _python(peer: str) -> Path:
    return BUILD / peer / "bin" / "python"


def _pip(peer: str, log: int, *what: str) -> None:
    command = [str(_python(peer)), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    subprocess.run([*command, *what], stdout=log, stderr=log, check=True, timeout=_INSTALL_WITHIN_S)
