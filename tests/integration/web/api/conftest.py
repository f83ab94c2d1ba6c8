"""A program with a key, and a worker that says what the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from quart import Quart, Response

from shared.broker.base import Delivery
from shared.broker.memory import MemoryBroker
from shared.chat import Generation
from shared.ids import new_id
from shared.messages import CancelGeneration, Control
from shared.scopes import SCOPES
from shared.store import Store
from tests.factories import LANE
from tests.scripted_worker import ScriptedWorker

HELLO = {"model": "test", "messages": [{"role": "user", "content": "안녕?"}]}


class Program:
    """Calls /v1 with a key of its own."""

    def __init__(self, app: Quart, user_id: str, secret: str) -> None:
        self.client = app.test_client(use_cookies=False)
        self.user_id = user_id
        self.headers = {"Authorization": f"Bearer {secret}"}

    async def get(self, path: str, **headers: str) -> Response:
        return await self.client.get(path, headers=self.headers | headers)

    async def call(self, method: str, path: str, headers: dict[str, str] | None = None) -> Response:
        """Without a body; with the key unless other headers are given."""
        given = self.headers if headers is None else headers
        return await self.client.open(path, method=method, headers=given)  # type: ignore[call-arg]  # its protocol errs

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> Response:
        return await self.post_raw(path, json.dumps(body).encode(), **headers)

    async def post_raw(self, path: str, body: bytes, **headers: str) -> Response:
        given = self.headers | {"Content-Type": "application/json"} | headers
        return await self.client.post(path, data=body, headers=given)


async def program_of(app: Quart, store: Store, scopes: Sequence[str] = SCOPES) -> Program:
    user_id = new_id()
    _, secret = await store.keys.create(user_id, "test", scopes)
    return Program(app, user_id, secret)


@pytest.fixture
async def program(app: Quart, store: Store) -> Program:
    return await program_of(app, store)


async def hello(asked: Generation) -> AsyncIterator[str]:
    for piece in ("안녕", "하세요", "!"):
        yield piece


@pytest.fixture
async def worker(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[ScriptedWorker]:
    """Says 안녕하세요! to everybody."""
    async with ScriptedWorker(store, memory_broker, LANE, hello) as worker:
        yield worker


class Desk:
    """A worker in the test's own hands: questions arrive, and so do cancellations; the test writes to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claimed: asyncio.Queue[Generation] = asyncio.Queue()
        self._cancelled: asyncio.Queue[str] = asyncio.Queue()

    async def claimed(self) -> Generation:
        async with asyncio.timeout(10):
            return await self._claimed.get()

    async def cancelled(self) -> str:
        """The id of the next one that is to be stopped."""
        async with asyncio.timeout(10):
            return await self._cancelled.get()

    async def permit(self, delivery: Delivery) -> None:
        claimed = await self._store.generations.claim(LANE, "w")
        assert claimed is not None
        self._claimed.put_nowait(claimed)
        await delivery.ack()

    async def control(self, message: Control) -> None:
        if isinstance(message, CancelGeneration):
            self._cancelled.put_nowait(message.generation_id)


@pytest.fixture
async def desk(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Desk]:
    desk = Desk(store)
    async with memory_broker.consume_control("w", desk.control), memory_broker.consume_permits(LANE, 8, desk.permit):
        yield desk


def chunks_of(body: str) -> list[Any]:
    """The data of every event, [DONE] as None."""
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    return [None if line == "[DONE]" else json.loads(line) for line in lines]
