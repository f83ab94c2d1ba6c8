"""A small embedder of our own, so that the way of a trained one is measured with trained weights: a vector for each
token, averaged (StaticEmbedding of sentence-transformers), which takes two minutes on one core. It learns from `docs/`,
where a sentence is to find what stands around it (the inverse cloze task, Lee et al. 2019), and from the questions and
answers of `sft/welfare_qa`; from nothing of KorQuAD. It is measured, not shipped.

    python -m tests.bench.documents.small_embedder DIRECTORY
    NUNMAL_EMBEDDING__MODEL=DIRECTORY make bench-documents ARGS=--retrieval
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer

from shared.settings import Settings, load_settings
from shared.text.chunking.markdown_header import MarkdownHeaderChunker
from shared.text.sentences import sentences

SEED = 7
_DIMENSIONS = 512
_CHUNK = 500  # characters, as documents are cut
_FEWEST = 3  # sentences of a chunk: one is asked, the others answer
_BATCH = 512
_LEARNING_RATE = 0.1  # of a table of vectors, a hundred times that of a transformer
_EPOCHS = 3


def pairs(data: Path, seed: int) -> list[tuple[str, str]]:
    """What is asked, and what answers, in an order of chance."""
    chance = random.Random(seed)
    found = [*_clozes(data, chance), *_questions(data)]
    chance.shuffle(found)
    return found


def trained(found: list[tuple[str, str]], epochs: int = _EPOCHS) -> SentenceTransformer:
    """Other pairs of the same batch are what does not answer."""
    tokenizer = Tokenizer.from_file(str(Path(Settings().model_source) / "tokenizer.json"))
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=_DIMENSIONS)], device="cpu")
    asked, answers = zip(*found, strict=True)
    with tempfile.TemporaryDirectory() as out:
        SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=out,
                num_train_epochs=epochs,
                per_device_train_batch_size=_BATCH,
                learning_rate=_LEARNING_RATE,
                warmup_steps=0.1,
                seed=SEED,
                use_cpu=True,
                save_strategy="no",
                report_to="none",
            ),
            train_dataset=Dataset.from_dict({"anchor": asked, "positive": answers}),
            loss=MultipleNegativesRankingLoss(model),
        ).train()
    return model


def _clozes(data: Path, chance: random.Random) -> Iterator[tuple[str, str]]:
    chunker = MarkdownHeaderChunker(_CHUNK)
    for file in sorted((data / "docs").glob("*/docs.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["markdown"]
                for chunk in chunker.split(text):
                    own = text[chunk.start : chunk.end]
                    spans = sentences(own)
                    if len(spans) >= _FEWEST:
                        asked = chance.choice(spans)
                        yield own[asked.start : asked.end].strip(), own[: asked.start] + own[asked.end :]


def _questions(data: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(data / "sft" / "welfare_qa" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            asked, answer = (message["content"] for message in json.loads(line)["messages"][:2])
            yield asked, answer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.documents.small_embedder")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    options = parser.parse_args()
    found = pairs(load_settings().data_dir, SEED)
    print(f"{len(found)} pairs")
    trained(found, options.epochs).save(str(options.directory))


if __name__ == "__main__":
    main()
