"""A model that another server runs (workers/engine/upstream_engine.py), ready to answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from shared.errors import ModelError
from shared.settings import WorkerSettings
from workers.engine.base import JsonSchema
from workers.engine.upstream_door import Sample, open_door
from workers.engine.upstream_engine import UpstreamEngine
from workers.engine.upstream_files import UpstreamFiles, read_files
from workers.engine.upstream_reading import Spelling
from workers.engine.vocabulary import Vocabulary
from workers.served_model import ServedModel

PATIENCE_S = 600.0  # a large model takes minutes to load

_BEGINNING = "안녕하세요? 저는"
_MOST_TOKENS = 10**9  # what tokenizers that do not know their model's context say is far more


def open_upstream(source: str, name: str, settings: WorkerSettings, patience_s: float = PATIENCE_S) -> ServedModel:
    """`source`: a directory or hub id with the model's tokenizer. Takes seconds, or minutes if the server still starts:
    call it in a thread. Raises ModelError."""
    return with_files(read_files(source, settings.max_new_tokens), name, settings, patience_s)


def with_files(files: UpstreamFiles, name: str, settings: WorkerSettings, patience_s: float) -> ServedModel:
    """The same, once they are read."""
    tokenizer = files.tokenizer
    vocabulary = Vocabulary(tokenizer, files.facts.vocabulary, files.facts.stop_ids)
    try:
        spelling = Spelling(vocabulary.open())
    except ValueError as error:
        raise ModelError(f"model {name}: an upstream needs a tokenizer of another kind") from error
    key = settings.upstream_key.get_secret_value() if settings.upstream_key else None
    url = settings.upstream_url.rstrip("/") + "/"
    sample = Sample(
        _BEGINNING,
        tuple(tokenizer.encode(_BEGINNING)),
        lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)),
    )
    door = open_door(url, settings.upstream_model, key, sample, patience_s)
    facts = replace(files.facts, digest=hashlib.sha256(f"{files.facts.digest} {door.model}".encode()).hexdigest())
    if door.context_length is None and facts.context_length > _MOST_TOKENS:
        raise ModelError(f"model {name}: neither its files nor the upstream tell how long its context is")
    engine = UpstreamEngine(url, key, door, facts, spelling, PromptText(tokenizer), slots=settings.slots)
    how = f"{'token ids' if door.takes_ids else 'text'} in, {'token ids' if door.gives_ids else 'text'} out"
    return ServedModel(
        name,
        engine,
        tokenizer,
        files.sampling,
        files.stop_text,
        f"upstream {urlsplit(url).netloc} ({door.dialect.name}), {how}",
        vocabulary,
        JsonSchema,
    )


class PromptText:
    """A prompt as text that a server cuts into the same tokens: control tokens by name, but for those it puts before
    every text, and no half character at the end."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        with_them, bare = tokenizer.encode(_BEGINNING), tokenizer.encode(_BEGINNING, add_special_tokens=False)
        self._put_before = tuple(with_them[: with_them.index(bare[0])]) if bare else ()

    def __call__(self, token_ids: Sequence[int]) -> str:
        begin = len(self._put_before) if tuple(token_ids[: len(self._put_before)]) == self._put_before else 0
        text = self._tokenizer.decode(
            list(token_ids[begin:]), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text).rstrip("\ufffd")
