"""The pages under /adapters: what researchers see and do, and that nobody else finds them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from quart import Quart

from shared.adapters.folder import FILES, WEIGHTS
from shared.adapters.rollout import Alias, Report, WorkerState, report
from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole, Generation, Role, User
from shared.rollouts import settle_all
from shared.store import Store
from shared.store.times import now
from tests.adapter_folders import BASE, checked, write_adapter
from tests.factories import LANE
from tests.multipart import CONTENT_TYPE, Part, multipart
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import WebVisitor, parse_events


@pytest.fixture
async def researcher(app: Quart, store: Store) -> WebVisitor:
    person = WebVisitor(app)
    user = await store.users.by_email(await person.sign_up())
    assert user is not None
    await store.users.set_role(user.id, AccountRole.RESEARCHER)
    await store.adapters.describe_base(BASE)
    await person.get("/adapters")
    return person


async def push(person: WebVisitor, directory: Path, name: str = "wallpaper") -> int:
    """Returns the status."""
    await person.get("/adapters")
    files: list[Part] = [(file, file, (directory / file).read_bytes()) for file in FILES if (directory / file).exists()]
    body = multipart([("csrf_token", person.csrf_token), ("name", name), *files])
    return (await person.post_raw("/adapters", body, CONTENT_TYPE)).status_code


async def reported(store: Store, state: WorkerState, code: str = "", **facts: str) -> None:
    """By the one worker that serves the base."""
    await store.workers.beat("worker-0001", LANE, "test", BASE.digest, 1, 0)
    alias = await store.adapters.alias("wallpaper")
    assert alias.rollout is not None
    rollout_id, said = alias.rollout.id, Report(state=state, at=now(), code=code, facts=dict(facts))
    await store.adapters.change("wallpaper", lambda alias: report(alias, rollout_id, "worker-0001", said))
    await settle_all(store, timedelta(minutes=1))


async def test_from_a_push_to_use_with_every_state_in_between(
    researcher: WebVisitor, store: Store, tmp_path: Path
) -> None:
    assert await push(researcher, write_adapter(tmp_path)) == 303
    version = checked("wallpaper", tmp_path).version_id
    await researcher.get("/adapters")
    assert version in researcher.page
    assert 'data-live="false"' in researcher.page

    await store.workers.beat("worker-0001", LANE, "test", BASE.digest, 1, 0)
    assert (await researcher.post(f"/adapters/{version}/activate")).status_code == 303
    for state, words in ((None, "기다리는 중"), (WorkerState.FETCHING, "가져오는 중"), (WorkerState.LOADED, "불러옴")):
        if state:
            await reported(store, state)
        await researcher.get("/adapters")
        assert words in researcher.page
        assert 'data-live="true"' in researcher.page
    await reported(store, WorkerState.TESTED)
    await researcher.get("/adapters")

    assert "쓰는 중" in researcher.page
    assert f"{version} 버전을 배포했어요." in researcher.page
    assert 'data-live="false"' in researcher.page


async def test_a_worker_that_fails_is_named_with_its_reason(
    researcher: WebVisitor, store: Store, tmp_path: Path
) -> None:
    await push(researcher, write_adapter(tmp_path))
    version = checked("wallpaper", tmp_path).version_id
    await researcher.get("/adapters")
    await researcher.post(f"/adapters/{version}/activate")
    await reported(store, WorkerState.FAILED, "adapter_not_finite", file=WEIGHTS, value="a.b")

    await researcher.get("/adapters")

    assert "불러오지 못한 워커가 있어요" in researcher.page
    assert f"{WEIGHTS}: a.b 텐서에 NaN이나 무한대가 있어요." in researcher.page


async def test_what_is_refused_is_said_on_the_page(researcher: WebVisitor, tmp_path: Path) -> None:
    assert await push(researcher, write_adapter(tmp_path, fill=float("nan"))) == 422
    assert "NaN이나 무한대가 있어요" in researcher.page
    (tmp_path / WEIGHTS).unlink()
    assert await push(researcher, tmp_path) == 422
    assert f"{WEIGHTS}: 이 파일이 없어요." in researcher.page
    assert (await researcher.post("/adapters/wallpaper@000000000000/activate")).status_code == 422
    assert (await researcher.post("/adapters/wallpaper/rollback")).status_code == 422
    assert (await researcher.post("/adapters/wallpaper@000000000000/canary", percent="x")).status_code == 422
    assert (await researcher.post("/adapters/wallpaper/nonsense")).status_code == 404


async def test_two_versions_are_compared(researcher: WebVisitor, tmp_path: Path) -> None:
    versions = []
    for number in (1.0, 2.0):
        directory = write_adapter(tmp_path / str(number), fill=number)
        await push(researcher, directory)
        versions.append(checked("wallpaper", directory).version_id)

    await researcher.get(f"/adapters/{versions[0]}/diff/{versions[1]}")

    assert re.findall(r'<th scope="row">(.*?)</th>', researcher.page) == [WEIGHTS]


async def said(asked: Generation) -> AsyncIterator[str]:
    assert isinstance(asked.prompt, tuple)
    instruction = [message.content for message in asked.prompt if message.role is Role.SYSTEM]
    yield f"{asked.adapter or 'none'} {' '.join(instruction)}".strip()


async def test_one_question_is_answered_side_by_side(
    researcher: WebVisitor, store: Store, memory_broker: MemoryBroker, tmp_path: Path
) -> None:
    await push(researcher, write_adapter(tmp_path))
    version = checked("wallpaper", tmp_path).version_id
    await researcher.get(f"/adapters/{version}/try")
    async with ScriptedWorker(store, memory_broker, LANE, said) as worker:
        worker.adapters = (version,)
        begun = await researcher.post(f"/adapters/{version}/try", question="얼룩이 뭐예요?", instruction="짧게.")
        assert begun.status_code == 303
        await worker.has_ended(3)
        assert begun.location is not None
        await researcher.get(begun.location)

    answers = re.findall(r'data-state="done">(.*?)</div>', researcher.page, re.DOTALL)
    assert [re.sub("<.*?>", "", answer).strip() for answer in answers] == ["none", version, f"{version} 짧게."]
    turns = await store.generations.of_conversation(begun.location.rpartition("/")[2], (await _user(store)).id)
    assert len({turn.seed for turn in turns}) == 1
    stream = await researcher.client.get(f"{begun.location}/stream/{turns[1].id}")
    assert parse_events(await stream.get_data(as_text=True))[-1].data["state"] == "done"
    assert (await researcher.get(f"{begun.location}/stream/{begun.location[-36:]}x")).status_code == 404


async def _user(store: Store) -> User:
    (document,) = await store._database["users"].find({}).to_list(2)
    user = await store.users.get(document["_id"])
    assert user is not None
    return user


async def test_nobody_else_finds_them(app: Quart, store: Store) -> None:
    person = WebVisitor(app)
    await person.sign_up()

    for path in ("/adapters", "/adapters/wallpaper@000000000000/try", "/adapters/a/diff/b"):
        assert (await person.get(path)).status_code == 404
    await person.get("/chat")
    for path in ("/adapters", "/adapters/wallpaper/rollback", "/adapters/wallpaper@000000000000/try"):
        assert (await person.post(path)).status_code == 404
    assert await store.adapters.aliases() == []


async def test_a_conversation_keeps_the_adapter_it_was_given(
    app: Quart, store: Store, memory_broker: MemoryBroker
) -> None:
    one, two = "wallpaper@111111111111", "wallpaper@222222222222"
    person = WebVisitor(app)

    async def version(asked: Generation) -> AsyncIterator[str]:
        yield asked.adapter or "none"

    await person.sign_up()
    await store.adapters.change("wallpaper", lambda alias: Alias(name="wallpaper", active=one))
    async with ScriptedWorker(store, memory_broker, LANE, version) as worker:
        worker.adapters = (one, two)
        await worker._beat()
        await person.get("/chat")
        assert '<option value="wallpaper">' in person.page
        first = await person.ask("벽지에 얼룩이 있어요", adapter="wallpaper")
        assert first.location is not None
        await worker.has_ended(1)
        await store.adapters.change("wallpaper", lambda alias: Alias(name="wallpaper", active=two, previous=(one,)))
        await person.get(first.location)
        assert '<option value="wallpaper" selected>' in person.page
        await person.ask("다시 물어요", first.location)
        await worker.has_ended(2)
        await person.ask("어댑터 없이 물어요", first.location, adapter="")
        await worker.has_ended(3)
        await person.get(first.location)
        refused = await person.ask("없는 것으로", first.location, adapter="unknown")

    opened = await store.generations.of_conversation(first.location.rpartition("/")[2], (await _user(store)).id)
    assert [turn.answer for turn in opened] == [one, two, "none"]
    assert refused.status_code == 422
    assert "unknown 버전이 없어요" in person.page
