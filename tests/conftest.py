"""The services every shelf of tests may ask for. Private to one run, real where the product's are real."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded_store import embedded_store
from shared.broker.memory import MemoryBroker
from shared.ids import new_id
from shared.store import Store
from tests.rabbitmq_node import RabbitNode, rabbitmq_node


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A MongoDB-wire server: NUNMAL_TEST_MONGODB_URL if set, else a private embedded one."""
    if url := os.environ.get("NUNMAL_TEST_MONGODB_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner() as runner:
        service = embedded_store(Path(directory))
        yield runner.run(service.__aenter__())
        runner.run(service.__aexit__(None, None, None))


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty database of its own."""
    database = f"test_{new_id().replace('-', '')}"
    async with Store(store_url, database) as store:
        yield store
        await store.drop()


@pytest.fixture(scope="session")
def rabbit_node() -> Iterator[RabbitNode]:
    """A private RabbitMQ node, for tests that set policies."""
    with tempfile.TemporaryDirectory() as directory, rabbitmq_node(Path(directory)) as node:
        yield node


@pytest.fixture(scope="session")
def rabbit_url(request: pytest.FixtureRequest) -> str:
    """A RabbitMQ node: NUNMAL_TEST_AMQP_URL if set, else the private one."""
    if url := os.environ.get("NUNMAL_TEST_AMQP_URL"):
        return url
    node: RabbitNode = request.getfixturevalue("rabbit_node")
    return node.url


@pytest.fixture
async def memory_broker() -> AsyncIterator[MemoryBroker]:
    async with MemoryBroker() as broker:
        yield broker


@pytest.fixture(autouse=True)
def count_close_calls(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """See `pytest_terminal_summary`."""
    yield
    if close_calls := getattr(sys.modules.get("tests.greedy"), "close_calls", None):
        record_property("close_calls", len(close_calls))
        close_calls.clear()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many of the engine's answers first differed from `generate`'s where two logits were as good as equal."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, [])]
    calls = sum(dict(each.user_properties).get("close_calls", 0) for each in reports)
    terminalreporter.write_line(f"first differences from generate at close calls: {calls}")
