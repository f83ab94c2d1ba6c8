"""The web application on a real store and the embedded broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app


@pytest.fixture
async def app(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    app = create_app(web_settings(), memory_broker, store, node_id="node")
    async with app.test_app():
        yield app


@pytest.fixture
async def visitor(app: Quart) -> WebVisitor:
    """Somebody who has not logged in."""
    return WebVisitor(app)


@pytest.fixture
async def person(app: Quart) -> WebVisitor:
    """Somebody who has just signed up and looks at /chat."""
    visitor = WebVisitor(app)
    await visitor.sign_up()
    return visitor
