"""A model of sentence-transformers that embeds: `python -m shared.text.sentence_model_process MODEL DEVICE`, started by
sentence_model.py.

A process of its own, because torch takes 300 MB and holds cores and the interpreter's lock for as long as it works.
It says once that it is ready, or why it is not: {"error": ...}. Then lines of JSON on stdin: ["query" or "document",
a prompt or null, a list of texts]; for each a line with the shape, and the float32 numbers behind it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

_BATCH = 16


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    model_name, device = sys.argv[1:]
    try:
        _examine(Path(model_name))
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(model_name, device=device, model_kwargs={"use_safetensors": True})
    except Exception as error:  # whatever a model of somebody else's raises is told, and ends only this process
        _say(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    _say(answers, {"ready": model_name})
    for line in sys.stdin.buffer:
        kind, prompt, texts = json.loads(line)
        encode = model.encode_query if kind == "query" else model.encode_document
        vectors = encode(
            texts, prompt=prompt, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        ).astype("<f4")
        _say(answers, list(vectors.shape))
        answers.write(vectors.tobytes())
        answers.flush()


def _examine(directory: Path) -> None:
    """Raises FileNotFoundError; ValueError for weights that only a pickle holds."""
    if directory.is_absolute() and not directory.is_dir():
        raise FileNotFoundError(f"there is no directory {directory}")
    for pickled in directory.rglob("pytorch_model*.bin"):
        if not any(pickled.parent.glob("*.safetensors")):
            raise ValueError(f"{pickled} is pickled, which is never opened: save it as safetensors")


def _say(answers: BinaryIO, what: object) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
