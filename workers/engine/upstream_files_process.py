"""Reads the tokenizer and facts of a model that another server runs: started by upstream_files.py, ends at once."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig

from shared.errors import NunmalError
from shared.model_digest import files_digest
from shared.prompting import FALLBACK_STOP
from workers.engine import model_files, model_loader
from workers.engine.channel import Channel
from workers.engine.facts import ModelFacts
from workers.engine.upstream_files import UpstreamFiles


def _main() -> None:
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    source, max_new_tokens = channel.receive()
    try:
        channel.send(_read(source, max_new_tokens))
    except NunmalError as error:
        channel.send(error)


def _read(source: str, max_new_tokens: int) -> UpstreamFiles:
    directory = model_files.locate(source, model_files.WITHOUT_WEIGHTS)
    tokenizer = model_files.open_tokenizer(source, directory)
    config = _optional(AutoConfig, directory, "config.json")
    generation = _optional(GenerationConfig, directory, "generation_config.json") or GenerationConfig()  # type: ignore[no-untyped-call]  # transformers
    facts = ModelFacts(
        files_digest(directory, model_files.WITHOUT_WEIGHTS),
        max(len(tokenizer), getattr(config and config.get_text_config(), "vocab_size", 0)),
        model_loader.context_length(config) if config else tokenizer.model_max_length,
        model_loader.stop_ids(generation, tokenizer),
    )
    sampling = model_loader.sampling_defaults(generation, max_new_tokens)
    return UpstreamFiles(facts, tokenizer, sampling, None if tokenizer.chat_template else FALLBACK_STOP)


def _optional(kind: Any, directory: Path, name: str) -> Any:
    """None if there is no such file, or one that this version of the library cannot read: the server can."""
    try:
        return kind.from_pretrained(directory, local_files_only=True) if (directory / name).is_file() else None
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    _main()
