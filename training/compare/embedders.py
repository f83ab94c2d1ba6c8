"""How near two texts are as directions: the cosine of their vectors, by whoever makes such vectors.

ModelEmbedder     the mean of an encoder's last states (a folder in transformers' format): nearness of meaning
LetterEmbedder    counts of runs of letters, hashed: nearness of letters only, where no encoder is at hand
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from training.compare.intervals import Measured, mean_of
from training.data.near import letters
from training.tune.weights import open_tokenizer

Vectors = npt.NDArray[np.float32]
_BATCH = 16
_WIDTH = 1 << 14
_RUNS = (1, 2, 3)


class Embedder(Protocol):
    """Makes vectors of texts."""

    name: str  # as the table calls it

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, width) float32; texts that say the same lie in like directions."""
        ...


class LetterEmbedder:
    """Deterministic, and without a model."""

    name = "letters"

    def embed(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), _WIDTH), np.float32)
        for row, text in enumerate(texts):
            kept = letters(text)
            for size in _RUNS:
                for place in range(len(kept) - size + 1):
                    found[row, zlib.crc32(kept[place : place + size].encode()) % _WIDTH] += 1
        return found


class ModelEmbedder:
    """An encoder from a folder; long texts are cut at what it can read."""

    def __init__(self, directory: Path, device: str) -> None:
        from transformers import AutoModel

        kind: Any = AutoModel
        self.name = directory.name
        self._tokenizer = open_tokenizer(directory)
        self._model: Any = kind.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False, use_safetensors=True
        ).to(device)
        self._model.eval()
        self._longest = min(self._tokenizer.model_max_length, self._model.config.max_position_embeddings)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Vectors:
        found = []
        for place in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[place : place + _BATCH]),
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
                return_token_type_ids=False,
            ).to(self._model.device)
            states = self._model(**batch).last_hidden_state.float()  # (B, T, D)
            mask = batch["attention_mask"][..., None]
            found.append(((states * mask).sum(1) / mask.sum(1).clamp_min(1)).cpu().numpy())
        return np.concatenate(found)


def cosine(answers: Sequence[str], references: Sequence[str], embedder: Embedder) -> Measured:
    """Mean cosine of each answer with its reference; an empty one has none (0)."""
    one, other = (_unit(embedder.embed(texts)) for texts in (answers, references))
    return mean_of((one * other).sum(1).tolist())


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, 1e-12)
    return unit
