"""Fixtures of tests that join rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.worker_house import NODE, House, Node


@pytest.fixture
async def house(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[House]:
    node = Node()
    async with memory_broker.consume_node(NODE, node):
        yield House(store, memory_broker, node)
