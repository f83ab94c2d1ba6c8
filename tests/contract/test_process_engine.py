"""The engine in a process of its own keeps the contract of all engines. One process serves all tests: it takes seconds
to start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from shared.errors import EngineLost, ModelError
from shared.settings import WorkerSettings
from tests.contract.test_engine import CONTEXT_LENGTH, SLOTS, EngineContract, request, tokens
from tests.engine_runs import events_of
from tests.tiny_models import save_tiny_model
from workers.engine.base import Engine, JsonSchema
from workers.engine.channel import Channel
from workers.engine.engine_messages import Order
from workers.engine.process_engine import ProcessEngine

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = save_tiny_model(tmp_path_factory.mktemp("tiny"))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"max_position_embeddings": CONTEXT_LENGTH}))
    return directory


async def test_no_setting_of_ours_reaches_the_process(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNMAL_STORE_URL", "mongodb://nunmal:planted-password@mongo/")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    engine = await start(model)
    try:
        environment = await asyncio.to_thread(Path(f"/proc/{engine.pid}/environ").read_bytes)
    finally:
        await engine.close()

    assert b"HF_HUB_OFFLINE=1" in environment
    assert b"NUNMAL_" not in environment


async def start(source: Path) -> ProcessEngine:
    settings = WorkerSettings(slots=SLOTS, prefill_chunk=16, threads=1)
    return await asyncio.to_thread(ProcessEngine.start, Order(str(source), settings, "text", "warning"))


@pytest_asyncio.fixture(loop_scope="module")
async def own_engine(model: Path) -> AsyncIterator[ProcessEngine]:
    """For tests that end it."""
    engine = await start(model)
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model: Path) -> AsyncIterator[Engine]:
    engine = await start(model)
    yield engine
    await engine.close()


class TestProcessEngine(EngineContract):
    @pytest.fixture
    def closing_engine(self, own_engine: ProcessEngine) -> Engine:
        return own_engine


async def test_a_schema_is_compiled_where_the_engine_runs(engine: Engine) -> None:
    schema = JsonSchema(json.dumps({"enum": [True]}))
    broken = JsonSchema("{")

    first, second = await asyncio.gather(
        events_of(engine, request("good", grammar=schema, max_new_tokens=20)),
        events_of(engine, request("bad", grammar=broken)),
    )

    assert first[-1].finish_reason == "stop"
    assert (second[-1].finish_reason, second[-1].error.code) == ("error", "schema_unsupported")  # type: ignore[union-attr]


async def test_its_memory_and_what_it_shared_are_told(own_engine: ProcessEngine) -> None:
    prompt = tuple(range(5, 40))
    await events_of(own_engine, request("first", *prompt))
    await events_of(own_engine, request("second", *prompt))

    stats = own_engine.stats()
    assert stats.kv_blocks >= SLOTS * CONTEXT_LENGTH // 32
    assert (stats.prompt_tokens, stats.shared_tokens) == (70, 32)


async def test_a_killed_process_ends_its_requests_as_lost(own_engine: ProcessEngine) -> None:
    engine = own_engine
    async with asyncio.timeout(20), aclosing(engine.submit(request(max_new_tokens=60))) as events:
        await anext(aiter(events))

        os.kill(engine.pid, signal.SIGKILL)
        rest = [event async for event in events]

    assert isinstance(rest[-1].error, EngineLost)
    assert engine.lost.is_set()
    assert isinstance((await events_of(engine, request("late")))[-1].error, EngineLost)


async def test_a_process_whose_worker_is_gone_ends(own_engine: ProcessEngine) -> None:
    assert len(tokens(await events_of(own_engine, request()))) == 8

    own_engine._end.close()  # what the system does with a dead worker's sockets

    assert await asyncio.to_thread(own_engine._process.wait, 10) == 0


_LOADING_FOR_EVER = """
import threading
from workers.engine import engine_process
def load(*source, **options):
    print("loading", flush=True)
    threading.Event().wait()
engine_process.load = load
engine_process.main()
"""


async def test_a_process_whose_worker_goes_while_its_model_loads_ends(model: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", _LOADING_FOR_EVER, str(theirs.fileno())]
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=[theirs.fileno()], stdout=asyncio.subprocess.PIPE
        )
        theirs.close()
        assert process.stdout is not None
        Channel(ours).send(Order(str(model), WorkerSettings(), "text", "warning"))
        assert await process.stdout.readline() == b"loading\n"
    try:
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()


async def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        await start(tmp_path)
