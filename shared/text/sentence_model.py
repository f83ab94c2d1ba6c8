"""Vectors of a trained model, any of sentence-transformers, in a process beside this one: it begins with the first text
and ends with the node."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import subprocess
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shared.child_process import open_module
from shared.telemetry import fields
from shared.text.embedding import EmbeddingUnavailable

log = logging.getLogger(__name__)

MODULE = "shared.text.sentence_model_process"

_LOADED_WITHIN_S = 600.0  # it may come from a hub
_WITHIN_S = 120.0  # passages of one page on a busy CPU
_DIGESTED = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")
_DIGEST_LETTERS = 12

_Process = subprocess.Popen[bytes]


class SentenceModel:
    """An Embedder. `model`: a directory or a hub's name. Prompts: put before what is asked and before what may answer;
    None: those that the model brings along. `weight`: of its cosine."""

    def __init__(
        self,
        model: str,
        *,
        device: str = "cpu",
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        weight: float = 0.5,
    ) -> None:
        self.weight = weight
        self._model = model
        self._device = device
        self._query_prompt = query_prompt
        self._passage_prompt = passage_prompt
        self._process: _Process | None = None
        self._is_loaded = self._is_closed = False
        self._turn = threading.Lock()

    @cached_property
    def name(self) -> str:
        """Of a directory its last part and a digest of its files: nodes may keep it in different places, and who trains
        it anew gets other vectors. Takes a second for a gigabyte."""
        directory = Path(self._model)
        digest = hashlib.sha256((self._passage_prompt or "").encode())
        if not directory.is_dir():
            return f"{self._model}-{digest.hexdigest()[:_DIGEST_LETTERS]}" if self._passage_prompt else self._model
        for file in sorted({file for pattern in _DIGESTED for file in directory.rglob(pattern)}):
            with file.open("rb") as content:
                digest.update(str(file.relative_to(directory)).encode())
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return f"{directory.resolve().name}-{digest.hexdigest()[:_DIGEST_LETTERS]}"

    @property
    def knows_meaning(self) -> bool:
        return True

    @property
    def is_ready(self) -> bool:
        return self._is_loaded

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        return self._vectors("document", self._passage_prompt, texts) if texts else np.zeros((0, 0), np.float32)

    def embed_query(self, text: str) -> np.ndarray:
        return np.asarray(self._vectors("query", self._query_prompt, [text])[0])

    def close(self) -> None:
        """For good, and at once, also while it loads: who waits for a vector gets EmbeddingUnavailable."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._turn:
            self._put_away()

    def _vectors(self, kind: str, prompt: str | None, texts: Sequence[str]) -> np.ndarray:
        line = json.dumps([kind, prompt, list(texts)]).encode() + b"\n"
        with self._turn:
            if self._is_closed:
                raise EmbeddingUnavailable("it was closed")
            try:
                return self._asked(self._process or self._load(), line)
            except (OSError, ValueError) as error:
                self._put_away()
                if not self._is_closed:
                    log.warning("embedder_lost", extra=fields(model=self._model, reason=str(error)))
                raise EmbeddingUnavailable(str(error)) from error

    def _load(self) -> _Process:
        """Raises OSError, ValueError: it cannot be loaded."""
        self._process = process = open_module(MODULE, [self._model, self._device])
        if self._is_closed:  # just now
            process.kill()
        with _killed_after(process, _LOADED_WITHIN_S):
            said = _line(process)
        if "error" in said:
            raise ValueError(said["error"])
        self._is_loaded = True
        return process

    def _asked(self, process: _Process, line: bytes) -> np.ndarray:
        """Raises OSError, ValueError: it has ended in the middle, or was ended because it took too long."""
        assert process.stdin is not None and process.stdout is not None  # both are pipes
        with _killed_after(process, _WITHIN_S):
            process.stdin.write(line)
            process.stdin.flush()
            rows, dimensions = _line(process)
            numbers = process.stdout.read(4 * rows * dimensions)
        return np.frombuffer(numbers, "<f4").reshape(rows, dimensions)

    def _put_away(self) -> None:
        self._is_loaded = False
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be written has nobody to read it
                    pipe.close()


def _line(process: _Process) -> Any:
    """Raises ValueError."""
    assert process.stdout is not None  # it is a pipe
    if not (line := process.stdout.readline()):
        raise ValueError("its process ended or took too long")
    return json.loads(line)


@contextlib.contextmanager
def _killed_after(process: _Process, seconds: float) -> Iterator[None]:
    """Who reads from a process that takes too long reads its end."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
