"""infra/mongodb/roles.json: each room may do what it does, and hardly more.

MongoDB itself is not run here: what the rooms send to the store is written down and held against the file.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from infra import adapters, documents, keys, users, votes
from infra.migrations.origin import ORIGIN
from infra.migrations.run import RECORDS, run
from shared import forgetting, job_recovery, recovery
from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole
from shared.comparisons import Choice, Pairing
from shared.documents import DocumentKind
from shared.errors import RolloutFailed
from shared.ids import new_id
from shared.messages import DigestArticle
from shared.settings import RetentionSettings, load_settings
from shared.store import Store, connection
from shared.store.personal import DOCUMENTS, PERSONAL, PERSONAL_BY_PREFIX, SHARED, WITHOUT_PEOPLE
from shared.text.passages import Indexing
from shared.topology import DIGEST_LANE
from tests.adapter_folders import BASE, checked, write_adapter
from tests.documents import pdf_of
from tests.factories import generation
from tests.ingest_house import (
    OTHER_CHARACTERS,
    digest_worker,
    digested,
    ended,
    indexed_anew,
    ingest_worker,
    reindex_worker,
)
from tests.local_analyser import LocalAnalyser
from tests.multipart import CONTENT_TYPE, Part, multipart
from tests.unit.shared.test_digesting import KOREAN
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from tests.worker_house import NODE, House, Node
from web.app import create_app
from web.digests.incoming import of_file

_ROOT = Path(__file__).parents[2]
_ROLES: dict[str, dict[str, list[str]]] = json.loads((_ROOT / "infra/mongodb/roles.json").read_text("utf-8"))
_ALL = set(PERSONAL) | PERSONAL_BY_PREFIX | SHARED | DOCUMENTS | WITHOUT_PEOPLE
_OTHERS = {"ping", "hello", "endSessions", "killCursors", "dropDatabase"}  # need no right, or are the tests' own


class Used(CommandListener):
    """(collection, action) of everything that was sent."""

    def __init__(self) -> None:
        self.rights: set[tuple[str, str]] = set()

    def started(self, event: CommandStartedEvent) -> None:
        command, name = event.command, event.command_name
        if name in _OTHERS:
            return
        collection = str(command["collection" if name == "getMore" else name])
        self.rights |= {(collection, action) for action in _actions(name, command)}

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def _actions(name: str, command: object) -> set[str]:
    """As MongoDB's manual lists them for each command."""
    assert isinstance(command, dict) or hasattr(command, "get")
    match name:
        case "find" | "getMore" | "distinct" | "aggregate" | "count":
            return {"find"}
        case "insert":
            return {"insert"}
        case "update":
            upserts = any(update.get("upsert") for update in command.get("updates", ()))
            return {"update", "insert"} if upserts else {"update"}
        case "delete":
            return {"remove"}
        case "findAndModify":
            changes = {"remove"} if command.get("remove") else {"update"}
            return {"find"} | changes | ({"insert"} if command.get("upsert") else set())
        case "createIndexes":
            return {"createIndex"}
    raise AssertionError(f"which rights does {name} need?")


@pytest.fixture
def used(store: Store, monkeypatch: pytest.MonkeyPatch) -> Used:
    """Every store opened from now on is written down; the test's own is not."""
    used = Used()
    client = functools.partial(AsyncIOMotorClient, event_listeners=[used])
    monkeypatch.setattr(connection, "AsyncIOMotorClient", client)
    return used


@pytest.fixture
async def watched(used: Used, store: Store, store_url: str) -> AsyncIterator[Store]:
    """The test's database through a client that is written down."""
    async with Store(store_url, store._database.name) as watched:
        yield watched


def _not_allowed(room: str, used: Used) -> set[tuple[str, str]]:
    allowed = {(collection, action) for collection, actions in _ROLES[room].items() for action in actions}
    return used.rights - allowed


def test_every_collection_of_the_code_is_in_every_role() -> None:
    source = (_ROOT / "shared/store/store.py").read_text("utf-8")
    named = set(re.findall(r'_database\["(\w+)"\]', source))

    assert named == _ALL
    rights = {room: set(collections) for room, collections in _ROLES.items()}
    assert rights == dict.fromkeys(_ROLES, _ALL) | {"commands": _ALL | {RECORDS}}


async def test_the_commands_account_may_migrate(used: Used, store: Store, watched: Store) -> None:
    await store.generations.add(generation())
    await store._database["generations"].update_many({}, {"$unset": {ORIGIN.missing: ""}})
    used.rights.clear()
    await run(watched._database, ORIGIN, rest_s=0)
    assert ("generations", "update") in used.rights
    assert not _not_allowed("commands", used)


def test_the_audit_is_only_added_to_and_workers_read_nothing_of_people() -> None:
    for room in _ROLES:
        assert _ROLES[room]["audit"] == ["find", "insert"]
    assert _ROLES["worker"]["blobs"] == ["find", "createIndex"]  # the pictures it is asked about, by their digest
    people = _ALL - {"blobs", "generations", "workers", "fairness", "usage", "audit", "audit_heads"}
    people -= {"adapter_versions", "adapter_aliases", "adapter_bases"}
    assert {action for name in people for action in _ROLES["worker"][name]} == {"createIndex"}
    assert "remove" not in _ROLES["worker"]["generations"]


def test_compose_gives_each_room_its_own_account_and_no_password() -> None:
    compose = (_ROOT / "docker-compose.yml").read_text("utf-8")

    assert "mongodb://nunmal-web:${MONGO_WEB_PASSWORD:?" in compose
    assert "mongodb://nunmal-worker:${MONGO_WORKER_PASSWORD:?" in compose
    passwords = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET)\w*)(.*?)\}", compose)
    assert passwords
    assert [name for name, rest in passwords if not rest.startswith(":?")] == []
    assert set(re.findall(r"amqp://(nunmal-\w+):", compose)) == {"nunmal-web", "nunmal-worker"}


async def test_web_may_do_what_it_does(used: Used, watched: Store, memory_broker: MemoryBroker) -> None:
    app = create_app(web_settings(), memory_broker, watched, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        person = WebVisitor(app)
        email = await person.sign_up()
        user = await watched.users.by_email(email)
        assert user is not None
        await person.ask("안녕?")
        conversation = person.stream_url.partition("/stream")[0]
        await person.post(f"{conversation}/stop")
        turn = conversation.removeprefix("/chat/")
        await watched._database["generations"].update_one({"_id": turn}, {"$set": {"answer": "네"}})
        assert (await person.post(f"{conversation}/turns/{turn}/vote/up", on="1")).status_code == 303
        await person.post(f"{conversation}/turns/{turn}/vote/up", on="0")
        await person.post("/account/training", agrees="1")
        await watched.pairings.add(Pairing(new_id(), None, None, True, user.id, user.created_at))
        comparison = (await person.post("/compare", question="안녕?")).location or ""
        await watched.comparisons.choose(comparison.removeprefix("/compare/"), user.id, Choice.SAME)
        assert (await person.post(f"{comparison}/delete")).status_code == 303
        await watched.pairings.close((await watched.pairings.offered())[0].id)
        await person.get("/search?q=hello")
        await _have_a_document(person, watched)
        await _have_a_digest(person, watched)
        link = await watched.shares.add(user.id, conversation.removeprefix("/chat/"), "제목", [])
        assert (await person.client.get(f"/shared/{link}")).status_code == 200
        await person.get("/library/links")
        await person.post(f"{conversation}/delete")
        await person.get("/keys")
        await person.post("/keys", name="열쇠", scope_jobs="on", expires_days="")
        secret = re.findall(r"sk-nunmal-[A-Za-z0-9_-]{48}", person.page)[0]
        headers = {"Authorization": f"Bearer {secret}"}
        job = {"model": "test", "messages": [{"role": "user", "content": "안녕?"}]}
        assert (await person.client.post("/v1/jobs", json=job, headers=headers)).status_code == 202
        await watched.second_steps.switch_on(user.id, "sealed", 0, [new_id()])
        await watched.second_steps.use_timecode(user.id, 1)
        await watched.second_steps.switch_off(user.id)
        reset = await watched.resets.create(user.id, timedelta(minutes=1))
        await person.get(f"/reset/{reset}")
        await person.post(f"/reset/{reset}", password="아주 다른 비밀번호 둘")
        await person.get("/login")
        await person.post("/login", email=email, password="아주 다른 비밀번호 둘")
        await person.get("/account")
        await person.post("/account/name", name="새 이름")
        await person.get("/account")
        await person.post("/account/download")
        await _read_by_an_operator(app, watched, email)
        await recovery.sweep(watched, memory_broker, timedelta(seconds=1))
        await recovery._tidy(watched)
        await watched.blobs.leftovers.suspect([await watched.blobs.put(b"of nobody")])
        await watched.pictures.collect(10)
        await forgetting.forget_old(watched, RetentionSettings(conversation_days=1, api_days=1))
        await person.get("/account/delete")
        deleted = await person.post("/account/delete", old_password="아주 다른 비밀번호 둘")
        assert deleted.location == "/account/deleted"
        await forgetting.finish_deletions(watched, timedelta(0))
        assert await watched.users.by_email(email) is None

    assert ("sessions", "remove") in used.rights
    assert _not_allowed("web", used) == set()


async def _have_a_document(person: WebVisitor, store: Store) -> None:
    await person.get("/documents")
    parts: list[Part] = [("csrf_token", person.csrf_token), ("document", "a.txt", b"text")]
    assert (await person.post_raw("/documents", multipart(parts), CONTENT_TYPE)).status_code == 303
    await job_recovery.sweep(store, MemoryBroker(), timedelta(seconds=1))
    await person.get("/documents?q=hello")
    (action,) = re.findall(r'action="(/documents/[^"]+/delete)"', person.page)
    await person.post(action)
    await store.documents.finish_removals(10, after_s=0.0)
    await person.get("/chat")


async def _have_a_digest(person: WebVisitor, store: Store) -> None:
    await person.get("/digests")
    parts: list[Part] = [("csrf_token", person.csrf_token), ("content", KOREAN)]
    sent = await person.post_raw("/digests", multipart(parts), CONTENT_TYPE)
    assert sent.status_code == 303
    await job_recovery.sweep(store, MemoryBroker(), timedelta(seconds=1))
    await person.get(sent.location or "")
    await person.post(f"{sent.location}/delete")
    await person.get("/chat")


async def _read_by_an_operator(app: object, store: Store, email: str) -> None:
    operator = WebVisitor(app)  # type: ignore[arg-type]  # a Quart
    operator_email = await operator.sign_up()
    user = await store.users.by_email(operator_email)
    assert user is not None
    await store.users.set_role(user.id, AccountRole.OPERATOR)
    code = (await operator.switch_on_second_step())[0]
    await operator.get("/ops/access")
    form = {
        "email": email,
        "reason": "사용자가 도움을 청했어요",
        "minutes": "5",
        "old_password": PASSWORD,
        "code": code,
    }
    response = await operator.post("/ops/access", **form)
    assert response.status_code == 303, operator.page
    await operator.get(response.location or "")


async def test_workers_may_do_what_they_do(
    used: Used, store: Store, watched: Store, memory_broker: MemoryBroker
) -> None:
    node = Node()
    house = House(store, memory_broker, node)  # asks through a client of its own
    async with memory_broker.consume_node(NODE, node), house.worker(store=watched) as worker:
        await node.final(await house.ask())
        await worker.end()
    await recovery._tidy(watched)

    assert ("generations", "update") in used.rights
    assert _not_allowed("worker", used) == set()


async def test_ingest_workers_may_do_what_they_do(
    used: Used, store: Store, watched: Store, memory_broker: MemoryBroker
) -> None:
    broken, whole = b"%PDF-1.7 broken", pdf_of(["하천의 길이는 42킬로미터이다."])
    files = [await store.documents.add("u", "이름", DocumentKind.PDF, data, 0.0) for data in (broken, whole)]
    used.rights.clear()
    async with ingest_worker(watched, memory_broker):
        for file in files:
            await ended(store, file)
    ready = await store.documents.get(files[1].id, "u")
    assert ready is not None and await store.reindexings.add(ready, Indexing(characters=OTHER_CHARACTERS).name)
    async with reindex_worker(watched, memory_broker, chunk_characters=OTHER_CHARACTERS):
        await indexed_anew(store)
    assert ("document_chunks", "remove") in used.rights
    job = await store.digests.add("u", of_file("가.md", KOREAN.encode(), 64), 0.0)
    used.rights -= {("digests", "insert")}  # the test's own
    async with digest_worker(watched, memory_broker):
        await memory_broker.publish_permit(DIGEST_LANE, DigestArticle(digest_id=job.id))
        await digested(store, job)

    assert ("document_chunks", "insert") in used.rights
    assert _not_allowed("ingest", used) == set()
    people = _ALL - {"blobs", "workers", "fairness", "audit", "audit_heads", "digests", "reindexings", *DOCUMENTS}
    assert {action for name in people for action in _ROLES["ingest"][name]} == {"createIndex"}


async def test_commands_may_do_what_they_do(used: Used, store: Store, store_url: str, tmp_path: Path) -> None:
    environment = {"NUNMAL_STORE_URL": store_url, "NUNMAL_STORE_DATABASE": store._database.name}
    settings = load_settings(environment | {"NUNMAL_WEB__PUBLIC_URL": "https://chat.example.com"})
    without_gate = load_settings(environment | {"NUNMAL_WEB__GATE": "off"})
    await users._create(settings, "a@example.com", "가", PASSWORD, AccountRole.USER)
    await users._show(settings)
    await users._change_role(settings, "a@example.com", AccountRole.OPERATOR)
    await users._reset(settings, "a@example.com", False)
    await keys._create(settings, "a@example.com", "", [], None)
    await store.adapters.describe_base(BASE)
    await adapters._push(settings, write_adapter(tmp_path), "wallpaper")
    version = checked("wallpaper", tmp_path).version_id
    with pytest.raises(RolloutFailed, match="gate"):
        await adapters._activate(settings, version, 2)
    with pytest.raises(RolloutFailed, match="no worker"):
        await adapters._activate(without_gate, version, 0)
    await store.users.set_agreed((await store.users.everyone())[0].id, agrees=True)
    await votes._export(settings, tmp_path / "votes.jsonl")
    await adapters._show(settings, None)
    await adapters._retire(settings, version)
    document = await store.documents.add("u", "이름", DocumentKind.TEXT, b"text", 0.0)
    claimed = await store.documents.claim("w")
    assert claimed is not None and await store.documents.finish(document.id, claimed.attempt, "digest", index="old")
    await documents._reindex(settings, only_list=False, wait=False)
    assert [job.id for job in await store.reindexings.all()] == [document.id]

    assert {("users", "insert"), ("adapter_versions", "insert")} <= used.rights
    assert _not_allowed("commands", used) == set()
