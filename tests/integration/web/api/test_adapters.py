"""Adapters through /v1: chosen by a model's name, and pushed, rolled out and retired by researchers."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from quart import Quart
from werkzeug.datastructures import FileStorage

from shared.adapters.folder import FILES
from shared.adapters.rollout import Alias, Canary, Report, Rollout, WorkerState, begin, report
from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole, Generation
from shared.rollouts import settle_all
from shared.store import Store
from shared.store.times import now
from tests.adapter_folders import BASE, checked, write_adapter
from tests.factories import LANE
from tests.integration.web.api.conftest import HELLO, Program, chunks_of
from tests.integration.web.api.test_openapi import _checked
from tests.scripted_worker import ScriptedWorker
from web.api.adapter_routes import PATH

ONE, TWO = "wallpaper@111111111111", "wallpaper@222222222222"


async def says_its_version(asked: Generation) -> AsyncIterator[str]:
    yield asked.adapter or "none"


@pytest.fixture
async def worker(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[ScriptedWorker]:
    async with ScriptedWorker(store, memory_broker, LANE, says_its_version) as worker:
        worker.adapters = (ONE, TWO)
        yield worker


async def use(store: Store, **changes: Any) -> None:
    """What `wallpaper` means, as if it had been rolled out."""
    await store.adapters.change("wallpaper", lambda alias: Alias(name="wallpaper", **changes))


async def answer(program: Program, model: str, **changes: Any) -> tuple[str, str]:
    """The model it names and what it says."""
    body = await (await program.post("/v1/chat/completions", HELLO | {"model": model} | changes)).get_json()
    return body["model"], body["choices"][0]["message"]["content"]


async def test_a_name_is_answered_by_what_it_means_now(program: Program, store: Store, worker: ScriptedWorker) -> None:
    await use(store, active=ONE)
    assert await answer(program, "nunmal:wallpaper") == (f"test:{ONE}", ONE)
    assert await answer(program, "test:wallpaper") == (f"test:{ONE}", ONE)

    await use(store, active=TWO, previous=(ONE,))
    assert await answer(program, "nunmal:wallpaper") == (f"test:{TWO}", TWO)
    assert await answer(program, f"nunmal:{ONE}") == (f"test:{ONE}", ONE)
    assert await answer(program, "test") == ("test", "none")

    chunks = chunks_of(
        await (
            await program.post("/v1/chat/completions", HELLO | {"model": "nunmal:wallpaper", "stream": True})
        ).get_data(as_text=True)
    )
    assert {chunk["model"] for chunk in chunks if chunk} == {f"test:{TWO}"}


async def test_a_canary_gets_its_share(program: Program, store: Store, worker: ScriptedWorker) -> None:
    await use(store, active=ONE, canary=Canary(adapter=TWO, share=0.5))

    said = [(await answer(program, "nunmal:wallpaper"))[1] for _ in range(24)]

    assert set(said) == {ONE, TWO}


@pytest.mark.parametrize(
    "model",
    [
        "nunmal:unknown",
        "nunmal:",
        "other:wallpaper",
        "nunmal:wallpaper@333333333333",
        "nunmal:벽지",
        "nunmal:a@b",
        "nunmal",
    ],
)
async def test_what_is_not_in_use_is_no_model(program: Program, store: Store, model: str) -> None:
    await use(store, active=ONE)

    response = await program.post("/v1/chat/completions", HELLO | {"model": model})

    assert response.status_code == 404
    assert (await response.get_json())["error"]["code"] == "model_not_found"


async def test_adapters_in_use_are_models_with_a_parent(
    app: Quart, program: Program, store: Store, worker: ScriptedWorker
) -> None:
    await use(store, active=ONE)
    await worker._beat()

    listed = (await (await program.get("/v1/models")).get_json())["data"]

    assert [(model["id"], model["root"], model["parent"]) for model in listed] == [
        ("test", "test", None),
        ("test:wallpaper", f"test:{ONE}", "test"),
    ]
    assert await (await program.get("/v1/models/test:wallpaper")).get_json() == listed[1]
    await use(store, active="wallpaper@333333333333")  # no worker that lives has it
    assert len((await (await program.get("/v1/models")).get_json())["data"]) == 1


# What researchers do.


@pytest.fixture
async def researcher(app: Quart, store: Store) -> Program:
    user = await store.users.create("r@example.com", "연구자", b"", AccountRole.RESEARCHER)
    _, secret = await store.keys.create(user.id, "test")
    await store.adapters.describe_base(BASE)
    return Program(app, user.id, secret)


async def push(researcher: Program, directory: Path, name: str = "wallpaper") -> Any:
    there = [directory / file for file in FILES if (directory / file).exists()]
    files = {file.name: FileStorage(io.BytesIO(file.read_bytes()), file.name) for file in there}
    response = await researcher.client.post(PATH, form={"name": name}, files=files, headers=researcher.headers)
    return await _checked(response, "post", PATH)


async def post(researcher: Program, path: str, body: dict[str, Any] | None = None) -> Any:
    return await _checked(await researcher.post(f"{PATH}/{path}", body or {}), "post", f"{PATH}/{path}")


async def get(researcher: Program, path: str = "") -> Any:
    return await _checked(await researcher.get(f"{PATH}{path}"), "get", f"{PATH}{path}")


async def workers_test(store: Store, failed: bool = False) -> None:
    """The worker that serves the base says so."""
    await store.workers.beat("w", LANE, "test", BASE.digest, 1, 0)
    alias = await store.adapters.alias("wallpaper")
    assert isinstance(alias.rollout, Rollout)
    said = Report(state=WorkerState.FAILED if failed else WorkerState.TESTED, at=now(), code="adapter_refused")
    rollout_id = alias.rollout.id
    await store.adapters.change("wallpaper", lambda alias: report(alias, rollout_id, "w", said))
    await settle_all(store, timedelta(minutes=1))


async def test_from_a_push_to_use_and_back(researcher: Program, store: Store, tmp_path: Path) -> None:
    one = await push(researcher, write_adapter(tmp_path / "1"))
    two = await push(researcher, write_adapter(tmp_path / "2", fill=2.0))
    assert one["id"] == checked("wallpaper", tmp_path / "1").version_id
    differing = await get(researcher, f"/{one['id']}/diff/{two['id']}")
    assert [each["field"] for each in differing["data"]] == ["adapter_model.safetensors"]

    for version in (one, two):
        begun = await post(researcher, f"{version['id']}/activate")
        assert (begun["rollout"]["version"], begun["rollout"]["outcome"]) == (version["id"], None)
        await workers_test(store)
    assert (await get(researcher, "/wallpaper"))["active"] == two["id"]
    assert [each["use"] for each in (await get(researcher))["data"][0]["versions"]] == ["previous", "active"]

    await post(researcher, "wallpaper/rollback")
    await workers_test(store)
    assert (await get(researcher, "/wallpaper"))["active"] == one["id"]

    await post(researcher, f"{two['id']}/canary", {"percent": 10})
    await workers_test(store)
    assert (await get(researcher, "/wallpaper"))["canary_percent"] == 10
    assert (await post(researcher, f"{two['id']}/retire"))["error"]["code"] == "adapter_in_use"
    await post(researcher, f"{two['id']}/canary", {"percent": 0})
    await post(researcher, f"{two['id']}/retire")
    assert not (await get(researcher, "/wallpaper"))["versions"][1]["has_files"]
    actions = [(record["actor"], record["action"]) for record in await store.audit.last(20)]
    assert {actor for actor, action in actions if action.startswith("adapter")} == {researcher.user_id}


async def test_a_roll_out_that_fails_says_where_and_why(researcher: Program, store: Store, tmp_path: Path) -> None:
    one = await push(researcher, write_adapter(tmp_path))
    await post(researcher, f"{one['id']}/activate")
    await workers_test(store, failed=True)

    found = await get(researcher, "/wallpaper")

    assert (found["active"], found["rollout"]["outcome"]) == (None, "worker_failed")
    assert found["rollout"]["workers"][0]["code"] == "adapter_refused"


async def test_what_breaks_a_rule_is_refused_with_the_file_and_the_value(researcher: Program, tmp_path: Path) -> None:
    refused = await push(researcher, write_adapter(tmp_path / "nan", fill=float("nan")))
    assert refused["error"]["code"] == "adapter_not_finite"
    assert "adapter_model.safetensors" in refused["error"]["message"]
    (tmp_path / "nan" / FILES[0]).unlink()
    assert (await push(researcher, tmp_path / "nan"))["error"]["param"] == FILES[0]
    assert (await push(researcher, write_adapter(tmp_path / "a"), "../a"))["error"]["code"] == "adapter_name_invalid"
    assert (await post(researcher, "wallpaper@000000000000/activate"))["error"]["code"] == "adapter_version_unknown"
    assert (await post(researcher, "wallpaper/rollback"))["error"]["code"] == "adapter_nothing_before"
    assert (await get(researcher))["data"] == []


async def test_only_researchers_may(program: Program, store: Store) -> None:
    await store.adapters.change("wallpaper", lambda alias: begin(alias, ONE, "r", now(), 60))

    for method, path in (
        ("GET", ""),
        ("GET", "/wallpaper"),
        ("POST", ""),
        ("POST", f"/{ONE}/activate"),
        ("POST", f"/{ONE}/retire"),
        ("POST", "/wallpaper/rollback"),
    ):
        assert (await program.call(method, f"{PATH}{path}")).status_code == 403
    assert (await program.post(f"{PATH}/{ONE}/canary", {"percent": 1})).status_code == 403
    assert (await program.call("POST", f"{PATH}/{ONE}/activate", {})).status_code == 401
    assert (await store.adapters.alias("wallpaper")).rollout is not None
