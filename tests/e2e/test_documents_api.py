"""A program with nothing but an HTTP client: upload, wait, ask, remove."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.ids import new_id
from tests.documents import PAGES, pdf_of
from tests.e2e.conftest import Site
from tests.ingest_house import ingest_worker
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PATIENCE_S = 110.0


@pytest.mark.timeout(240)
async def test_a_program_asks_its_document_over_http(site: Site) -> None:
    _, secret = await site.store.keys.create(new_id())
    key = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=f"{site.url}/v1", headers=key, timeout=60.0) as client:
        uploaded = await client.post("/documents", files={"file": ("마을.pdf", pdf_of(PAGES), "application/pdf")})
        assert uploaded.status_code == 202, uploaded.text

        async def read() -> dict[str, Any] | None:
            told: dict[str, Any] = (await client.get(uploaded.headers["Location"].removeprefix("/v1"))).json()
            return told if told["status"] in ("ready", "failed") else None

        async with ingest_worker(site.store, site.broker):
            told = await until(read, _PATIENCE_S)
        assert told is not None and (told["name"], told["status"], told["pages_done"]) == ("마을.pdf", "ready", 3)
        answer = (await client.post("/documents/ask", json={"question": "솔바람 축제 입장료는 얼마인가요?"})).json()
        assert answer["citations"][0]["page"] == 3 and "칠천 원" in answer["citations"][0]["quote"]
        assert (await client.delete(f"/documents/{told['id']}")).json()["deleted"] is True
        assert (await client.get("/documents")).json()["data"] == []
