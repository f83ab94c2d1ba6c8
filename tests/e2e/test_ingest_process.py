"""`nunmal ingest` as a process of its own over RabbitMQ: it reads documents, digests articles, and ends when asked."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from shared.broker.rabbitmq import RabbitBroker
from shared.digests import DigestState
from shared.documents import DocumentState
from shared.settings import WebSettings
from shared.store import Store
from shared.text.passages import embedder_name
from shared.text.sentence_model import SentenceModel
from tests.ingest_house import digested, ended
from tests.sentence_models import sentence_model
from tests.service import Process
from tests.unit.shared.test_digesting import KOREAN
from web.digests.incoming import of_json
from web.digests.service import DigestService
from web.documents.service import DocumentService

pytestmark = pytest.mark.rabbitmq


async def test_one_process_reads_documents_and_digests_articles(
    store: Store, store_url: str, rabbit_url: str, tmp_path: Path
) -> None:
    model = str(sentence_model(tmp_path / "model", [["민들레"], ["씨앗"]]))
    environment = {
        "NUNMAL_EMBEDDING__MODEL": model,
        "NUNMAL_STORE_URL": store_url,
        "NUNMAL_STORE_DATABASE": store._database.name,
        "NUNMAL_BROKER_URL": rabbit_url,
    }
    settings = WebSettings()
    async with RabbitBroker(rabbit_url) as broker:
        with Process("ingest", **environment) as process:
            process.wait_ready()
            document = await DocumentService(store, broker, settings).upload("u", "가.md", KOREAN.encode())
            articles = [of_json({"content": KOREAN, "title": title}, 64) for title in ("하나", "둘")]
            jobs = await DigestService(store, broker, settings).submit_batch("u", articles)

            assert [(await digested(store, job)).state for job in jobs] == [DigestState.READY] * 2
            read = await ended(store, document)
            assert (read.state, embedder_name(read.index)) == (DocumentState.READY, SentenceModel(model).name)
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
