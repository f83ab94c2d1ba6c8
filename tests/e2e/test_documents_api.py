"""A program with nothing but an HTTP client: upload, wait, ask, remove."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.ids import new_id
from shared.text.embedders import embedder_of
from shared.text.embedding import Embedder, HashedNgrams
from tests.documents import PAGES, pdf_of
from tests.e2e.conftest import Site, running_site
from tests.ingest_house import ingest_worker
from tests.sentence_models import sentence_model
from tests.waiting import until
from tests.web_visitor import web_settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PATIENCE_S = 110.0


@contextlib.asynccontextmanager
async def _program(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    _, secret = await site.store.keys.create(new_id())
    key = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=f"{site.url}/v1", headers=key, timeout=60.0) as client:
        yield client


async def _read(client: httpx.AsyncClient, site: Site, name: str, data: bytes, embedder: Embedder) -> dict[str, Any]:
    """Once it has been uploaded and is ready."""
    uploaded = await client.post("/documents", files={"file": (name, data)})
    assert uploaded.status_code == 202, uploaded.text

    async def told() -> dict[str, Any] | None:
        found: dict[str, Any] = (await client.get(uploaded.headers["Location"].removeprefix("/v1"))).json()
        return found if found["status"] in ("ready", "failed") else None

    async with ingest_worker(site.store, site.broker, embedder=embedder):
        document = await until(told, _PATIENCE_S)
    assert document is not None and (document["name"], document["status"]) == (name, "ready")
    return document


@pytest.mark.timeout(240)
async def test_a_program_asks_its_document_over_http(site: Site) -> None:
    async with _program(site) as client:
        told = await _read(client, site, "마을.pdf", pdf_of(PAGES), HashedNgrams())
        assert told["pages_done"] == 3
        answer = (await client.post("/documents/ask", json={"question": "솔바람 축제 입장료는 얼마인가요?"})).json()
        assert answer["citations"][0]["page"] == 3 and "칠천 원" in answer["citations"][0]["quote"]
        assert (await client.delete(f"/documents/{told['id']}")).json()["deleted"] is True
        assert (await client.get("/documents")).json()["data"] == []


@pytest.mark.timeout(240)
async def test_a_model_by_setting_finds_what_shares_no_word_with_the_question(store_url: str, tmp_path: Path) -> None:
    alike = [["강아지는", "멍멍이가"], ["산책을", "나들이"], ["좋아한다", "즐기는"]]
    model = sentence_model(tmp_path / "animals", alike)
    settings = web_settings(embedding={"model": str(model), "answers_from": 0.8})
    embedder = embedder_of(settings.embedding)
    async with running_site(store_url, settings) as site, _program(site) as client:
        await _read(client, site, "동물.txt", "강아지는 산책을 좋아한다".encode(), embedder)

        async def cited() -> list[str]:
            """A node that has begun just now answers by words until it has loaded the model."""
            answer = (await client.post("/documents/ask", json={"question": "멍멍이가 즐기는 나들이"})).json()
            return [citation["quote"] for citation in answer["citations"]]

        assert await until(cited, _PATIENCE_S) == ["강아지는 산책을 좋아한다"]
    embedder.close()
