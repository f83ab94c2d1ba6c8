"""A trained model in place of the default embedder: what it finds, and what happens where it is not to be had."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.broker.memory import MemoryBroker
from shared.documents import DocumentKind, DocumentState
from shared.errors import ConfigError
from shared.messages import IngestDocument
from shared.settings import EmbeddingSettings
from shared.store import Store
from shared.text.embedders import embedder_of, load
from shared.text.embedding import Embedder, EmbeddingUnavailable, HashedNgrams
from shared.text.passages import embedder_name
from shared.text.sentence_model import SentenceModel
from shared.topology import INGEST_LANE
from tests.documents import pdf_of
from tests.ingest_house import ended, ingest_worker
from tests.local_analyser import LocalAnalyser
from tests.sentence_models import sentence_model
from tests.waiting import until
from web.documents.answering import Answer, Answering
from web.documents.question_vectors import QuestionVectors

pytestmark = pytest.mark.timeout(180)

_ALIKE = [["강아지는", "멍멍이가"], ["산책을", "나들이"], ["좋아한다", "즐기는"], ["고양이는"], ["생선을"]]
_PAGES = ["강아지는 산책을 좋아한다.", "고양이는 생선을 좋아한다."]
_ASKED = "멍멍이가 즐기는 나들이"  # no word of it stands on a page


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentence_model(tmp_path_factory.mktemp("models") / "animals", _ALIKE)


@pytest.fixture(scope="module")
def model(directory: Path) -> Iterator[SentenceModel]:
    """Loaded once, which takes seconds."""
    model = SentenceModel(str(directory))
    yield model
    model.close()


@pytest.fixture
def fresh(directory: Path) -> Iterator[SentenceModel]:
    model = SentenceModel(str(directory))
    yield model
    model.close()


@pytest.fixture
async def read(store: Store, memory_broker: MemoryBroker, model: SentenceModel) -> AsyncIterator[None]:
    """One document whose passages have vectors of the model."""
    document = await store.documents.add("u", "동물.pdf", DocumentKind.PDF, pdf_of(_PAGES), 0.0)
    async with ingest_worker(store, memory_broker, embedder=model):
        await memory_broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
        ready = await ended(store, document)
    assert ready.state is DocumentState.READY and embedder_name(ready.index) == model.name
    yield


async def _answer(store: Store, embedder: Embedder, answers_from: float | None = 0.8, asked: str = _ASKED) -> Answer:
    return await Answering(store, LocalAnalyser(), QuestionVectors(embedder), answers_from).answer("u", asked)


@pytest.mark.usefixtures("read")
async def test_a_passage_is_found_and_shown_whole_by_what_it_means(store: Store, model: SentenceModel) -> None:
    answer = await _answer(store, model)

    assert [(citation.page, citation.quote) for citation in answer.citations][:1] == [(1, _PAGES[0])]


@pytest.mark.usefixtures("read")
async def test_without_a_threshold_words_alone_decide_whether_it_answers(store: Store, model: SentenceModel) -> None:
    assert (await _answer(store, model, answers_from=None)).citations == ()
    said = await _answer(store, model, answers_from=None, asked="강아지는 무엇을 좋아하나요?")
    assert said.citations[0].page == 1


@pytest.mark.usefixtures("read")
async def test_where_the_model_is_not_to_be_had_words_answer(
    store: Store, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost = SentenceModel(str(directory / "nowhere"))
    for other in (lost, HashedNgrams()):
        assert (await _answer(store, other)).citations == ()
        said = await _answer(store, other, asked="강아지는 무엇을 좋아하나요?")
        assert said.citations[0].page == 1
    vectors = QuestionVectors(lost)
    vectors.load()

    async def is_told() -> bool:
        return "embedder_lost" in caplog.text

    assert await until(is_told, 60)
    vectors.close()


async def test_questions_do_not_wait_for_a_model_that_is_loaded(fresh: SentenceModel) -> None:
    vectors = QuestionVectors(fresh)

    assert await vectors.of(_ASKED) is None

    async def ready() -> bool:
        return fresh.is_ready

    assert await until(ready, 60)
    found = await vectors.of(_ASKED)
    assert found is not None and found.shape == (len(_ALIKE) + 1,)
    vectors.close()
    assert await vectors.of(_ASKED) is None


async def test_a_process_that_was_killed_is_followed_by_another(model: SentenceModel) -> None:
    before = model.embed_query(_ASKED)
    assert model._process is not None
    os.kill(model._process.pid, signal.SIGKILL)

    with pytest.raises(EmbeddingUnavailable):
        model.embed_documents(["?"] * 1000)
    assert not model.is_ready
    assert model.embed_query(_ASKED).tolist() == before.tolist()


def test_closing_ends_it_while_it_loads(fresh: SentenceModel) -> None:
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(fresh.embed_query, _ASKED)
        while fresh._process is None:
            assert not loading.done()
        process = fresh._process
        fresh.close()
        with pytest.raises(EmbeddingUnavailable):
            loading.result(10)
    assert process.poll() is not None


async def test_what_cannot_be_loaded_is_said_with_its_setting(directory: Path) -> None:
    settings = EmbeddingSettings(model=str(directory / "nowhere"))

    with pytest.raises(ConfigError, match=r"NUNMAL_EMBEDDING__MODEL=.*nowhere cannot be used: .*no directory"):
        await load(embedder_of(settings), settings)
    await load(embedder_of(EmbeddingSettings()), EmbeddingSettings())


async def test_pickled_weights_are_not_opened(directory: Path, tmp_path: Path) -> None:
    pickled = Path(shutil.copytree(directory, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    settings = EmbeddingSettings(model=str(pickled))

    with pytest.raises(ConfigError, match=r"pytorch_model\.bin is pickled, which is never opened"):
        await load(embedder_of(settings), settings)


def test_its_name_is_that_of_its_files(directory: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(directory, tmp_path / directory.name))
    other = sentence_model(tmp_path / "other" / directory.name, [*_ALIKE[1:], _ALIKE[0]])
    names = [SentenceModel(str(each)).name for each in (directory, moved, other)]

    assert names[0] == names[1] != names[2]
    assert SentenceModel(str(directory), passage_prompt="passage: ").name != names[0]
    assert SentenceModel(str(directory), query_prompt="query: ").name == names[0]
    assert SentenceModel("somebody/model").name == "somebody/model"
