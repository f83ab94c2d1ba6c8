"""What every embedder promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.text.embedding import Embedder, HashedNgrams
from shared.text.sentence_model import SentenceModel
from tests.sentence_models import sentence_model

TEXTS = ["하천은 길다", "하천은 아주 길다", "축제는 시월에 열린다", "A line\nand another \U0001f642"]


@pytest.fixture(scope="module", params=["hashed n-grams", "sentence model"], name="embedder")
def _embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    made: dict[str, Callable[[Path], Embedder]] = {
        "hashed n-grams": lambda directory: HashedNgrams(64),
        "sentence model": lambda directory: SentenceModel(
            str(sentence_model(directory / "model", [["하천은"], ["길다"], ["축제는"], ["시월에"]]))
        ),
    }
    embedder = made[request.param](tmp_path_factory.mktemp("embedder"))
    yield embedder
    embedder.close()


def test_a_vector_for_each_text_of_length_one(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(TEXTS)

    assert (str(vectors.dtype), vectors.ndim, len(vectors)) == ("float32", 2, len(TEXTS))
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1.0] * len(TEXTS), abs=1e-5)


def test_a_question_has_a_vector_of_the_same_space(embedder: Embedder) -> None:
    documents = embedder.embed_documents(TEXTS)
    asked = embedder.embed_query(TEXTS[0])

    assert (str(asked.dtype), asked.shape) == ("float32", documents.shape[1:])
    assert np.argsort(-documents @ asked)[:2].tolist() == [0, 1]


def test_vectors_do_not_depend_on_their_neighbours(embedder: Embedder) -> None:
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])

    assert alone == pytest.approx(embedder.embed_documents(TEXTS), abs=1e-5)


def test_nothing_has_no_vectors(embedder: Embedder) -> None:
    assert len(embedder.embed_documents([])) == 0
    assert np.isfinite(embedder.embed_query("")).all()


def test_it_is_ready_once_it_has_answered_and_its_name_stays(embedder: Embedder) -> None:
    name = embedder.name
    embedder.embed_query("하천")

    assert embedder.is_ready
    assert embedder.name == name
    assert name.strip() == name and name
