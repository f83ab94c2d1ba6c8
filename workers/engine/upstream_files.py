"""What a worker needs of a model that another server runs: its tokenizer and a few facts, never its weights.

Read in a process of its own (upstream_files_process.py), because the library takes PyTorch along.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from shared.errors import ModelError, NunmalError
from shared.settings import environment_without_settings
from workers.engine.channel import Channel
from workers.engine.facts import ModelFacts
from workers.engine.sampling_defaults import SamplingDefaults

_MODULE = "workers.engine.upstream_files_process"


@dataclass(frozen=True, slots=True)
class UpstreamFiles:
    facts: ModelFacts  # its digest covers the files, not yet the server's model
    tokenizer: Any  # a Hugging Face tokenizer
    sampling: SamplingDefaults
    stop_text: str | None


def read_files(source: str, max_new_tokens: int) -> UpstreamFiles:
    """Of a directory or a hub id that has at least a tokenizer. Takes seconds. Raises ModelError."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            command = [sys.executable, "-m", _MODULE, str(theirs.fileno())]
            process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment_without_settings(),
            )
        channel = Channel(ours)
        try:
            channel.send((source, max_new_tokens))
            answer: UpstreamFiles | NunmalError = channel.receive()
        except (EOFError, OSError) as error:
            raise ModelError(f"model {source}: reading its files ended with {process.wait()}") from error
        process.wait()
    if isinstance(answer, NunmalError):
        raise answer
    return answer
