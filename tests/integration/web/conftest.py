"""The web application on a real store and the embedded broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app


class _Compiled(BytecodeCache):
    """Templates are compiled once for all the applications that one process tests."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if kept := self._kept.get(bucket.key):
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(autouse=True, scope="session")
def compiled_templates() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Quart.jinja_options, "bytecode_cache", _Compiled())
        yield


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
