"""A model of sentence-transformers whose vectors everybody can foresee: words of one group have one direction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

_UNKNOWN = "[UNK]"


def sentence_model(directory: Path, alike: Sequence[Sequence[str]]) -> Path:
    """Saved in `directory`. A word of no group lies in a direction of its own."""
    vocabulary = {_UNKNOWN: 0} | {word: place for place, word in enumerate((w for group in alike for w in group), 1)}
    vectors = np.zeros((len(vocabulary), len(alike) + 1), np.float32)
    vectors[0, -1] = 1
    for direction, group in enumerate(alike):
        for word in group:
            vectors[vocabulary[word], direction] = 1
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = Whitespace()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu").save(
        str(directory)
    )
    return directory
