"""`nunmal users`, `keys` and `audit` as processes beside a store that runs."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import select
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from shared.audit import AuditAction
from shared.chat import AccountRole, GenerationState
from shared.document_errors import IndexUnlike
from shared.documents import FIRST_INDEX, DocumentKind
from shared.errors import TooManyAttempts
from shared.ids import is_id, new_id
from shared.scopes import SCOPES
from shared.store import Store
from tests.factories import LANE, generation
from tests.service import ROOT, Process
from web.auth.passwords import Passwords

pytestmark = pytest.mark.timeout(120)
_NUNMAL = str(Path(sys.executable).with_name("nunmal"))
PASSWORD = "아주 긴 비밀번호 하나"
ACTOR = f"command:{pwd.getpwuid(os.getuid()).pw_name}"


class Commands:
    """Runs `nunmal` on the store of one test."""

    def __init__(self, url: str, database: str) -> None:
        self.environment = {
            "NUNMAL_STORE_URL": url,
            "NUNMAL_STORE_DATABASE": database,
            "NUNMAL_WEB__BCRYPT_ROUNDS": "4",
        }

    async def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(_nunmal, *arguments, given=given, **self.environment)

    async def printed(self, *arguments: str, given: str = "") -> str:
        """The lines of a command that did what it was asked, and said nothing else."""
        done = await self.run(*arguments, given=given)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout.endswith("\n")
        return done.stdout[:-1]

    async def refused(self, *arguments: str, given: str = "", code: int = 1) -> str:
        """The one line of a command that did nothing."""
        done = await self.run(*arguments, given=given)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert re.fullmatch(r"nunmal: .+\n", done.stderr), done.stderr
        return done.stderr


def _nunmal(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_NUNMAL, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"} | environment,
        input=given,
        capture_output=True,
        text=True,
    )


@pytest.fixture
async def commands(store: Store, store_url: str) -> Commands:
    return Commands(store_url, store._database.name)


async def _account(store: Store, email: str = "jiu@example.com") -> str:
    return (await store.users.create(email, "지우", b"hash", AccountRole.USER)).id


async def _create(commands: Commands, email: str = "jiu@example.com", *options: str) -> str:
    return await commands.printed("users", "create", email, "--name", "지우", *options, given=f"{PASSWORD}\n")


async def test_an_account_made_by_command_can_log_in(commands: Commands, store: Store) -> None:
    user_id = await _create(commands, " Jiu@Example.com ", "--role", "researcher")

    credentials = await store.users.credentials("jiu@example.com")
    assert credentials is not None
    assert credentials.user.id == user_id
    assert (credentials.user.name, credentials.user.role) == ("지우", AccountRole.RESEARCHER)
    assert await Passwords(4).is_correct(PASSWORD, credentials.password_hash)


async def test_a_role_that_is_not_given_is_user(commands: Commands, store: Store) -> None:
    user = await store.users.get(await _create(commands))

    assert user is not None
    assert user.role is AccountRole.USER


async def test_a_password_may_end_without_a_newline_and_hold_spaces(commands: Commands, store: Store) -> None:
    password = " two spaces at both ends "
    await commands.printed("users", "create", "a@example.com", "--name", "A", given=password)
    await commands.printed("users", "create", "b@example.com", "--name", "B", given=f"{password}\r\nanother line\n")

    for email in ("a@example.com", "b@example.com"):
        credentials = await store.users.credentials(email)
        assert credentials is not None
        assert await Passwords(4).is_correct(password, credentials.password_hash)


def test_at_a_terminal_the_password_is_asked_for_and_not_shown(commands: Commands) -> None:
    controller, terminal = os.openpty()
    with subprocess.Popen(
        [_NUNMAL, "users", "create", "a@example.com", "--name", "A"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"} | commands.environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # without a terminal of its own, so that it cannot ask at the tester's
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stderr.read(len("Password: ")) == b"Password: "
        os.write(controller, f"{PASSWORD}\n".encode())
        printed = child.stdout.read().decode()
        assert PASSWORD not in child.stderr.read().decode()
    echoed = os.read(controller, 4096) if select.select([controller], [], [], 0)[0] else b""
    os.close(terminal)
    os.close(controller)

    assert is_id(printed.strip())
    assert PASSWORD.encode() not in echoed


@pytest.mark.parametrize(
    ("email", "name", "password", "code", "sentence"),
    [
        ("nothing", "지우", PASSWORD, 1, "email address"),
        ("a@example.com", " ", PASSWORD, 1, "1 to 40 characters"),
        ("a@example.com", "지우", "short", 1, "at least 12 characters"),
        ("a@example.com", "지우", "가" * 25, 1, "72 bytes"),
        ("a@example.com", "지우", "", 2, "standard input"),
        ("taken@example.com", "지우", PASSWORD, 1, "already an account"),
    ],
)
async def test_what_the_sign_up_page_refuses_is_refused_in_one_line(
    commands: Commands, store: Store, email: str, name: str, password: str, code: int, sentence: str
) -> None:
    await store.users.create("taken@example.com", "먼저", b"x", AccountRole.USER)

    said = await commands.refused("users", "create", email, "--name", name, given=password, code=code)

    assert sentence in said
    assert not password or password not in said
    assert len(await store.users.everyone()) == 1


async def test_accounts_are_listed_one_a_line(commands: Commands, store: Store) -> None:
    first, second = await _account(store), await _create(commands, "b@example.com", "--role", "operator")

    lines = (await commands.printed("users", "list")).splitlines()

    assert [line.split()[0] for line in lines] == [first, second]
    assert lines[1].endswith("operator  b@example.com  지우")


async def test_a_role_changes_by_command(commands: Commands, store: Store) -> None:
    """And its owner logs in again: an operator's log-in is shorter."""
    user_id = await _account(store)
    await store.sessions.create("token", user_id, timedelta(days=30))

    assert await commands.printed("users", "role", "jiu@example.com", "operator") == user_id

    assert await store.sessions.user_id("token") is None
    user = await store.users.get(user_id)
    assert user is not None
    assert user.role is AccountRole.OPERATOR
    assert "no account" in await commands.refused("users", "role", "nobody@example.com", "operator")
    assert (await commands.run("users", "role", "jiu@example.com", "emperor")).returncode == 2


async def test_a_reset_link_leads_to_the_pages_and_holds_a_token_for_its_account(
    commands: Commands, store: Store
) -> None:
    user_id = await _account(store)
    assert "PUBLIC_URL" in await commands.refused("users", "reset", "jiu@example.com", code=2)
    commands.environment["NUNMAL_WEB__PUBLIC_URL"] = "https://nunmal.example"

    kept = await commands.printed("users", "reset", "jiu@example.com")
    removed = await commands.printed("users", "reset", "jiu@example.com", "--without-second-step")

    for link, without_second_step in ((kept, False), (removed, True)):
        found = await store.resets.use(link.removeprefix("https://nunmal.example/reset/"))
        assert found is not None
        assert (found.user_id, found.without_second_step) == (user_id, without_second_step)
    assert "no account" in await commands.refused("users", "reset", "nobody@example.com")


async def test_a_key_made_without_options_may_do_everything(commands: Commands, store: Store) -> None:
    user_id = await _account(store)

    key = await store.keys.authenticate(await commands.printed("keys", "create", "jiu@example.com"))

    assert key is not None
    assert (key.user_id, key.scopes, key.expires_at) == (user_id, frozenset(SCOPES), None)


async def test_a_key_has_the_options_it_was_made_with(commands: Commands, store: Store) -> None:
    await _account(store)
    options = ("--name", "노트북", "--scopes", "models,chat", "--expires-days", "7")

    key = await store.keys.authenticate(await commands.printed("keys", "create", "jiu@example.com", *options))

    assert key is not None
    assert (key.name, key.scopes) == ("노트북", frozenset({"chat", "models"}))
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).total_seconds() == pytest.approx(7 * 24 * 3600, abs=60)
    assert "no account" in await commands.refused("keys", "create", "nobody@example.com")
    for wrong in (("--scopes", "chat,everything"), ("--scopes", ""), ("--expires-days", "0")):
        assert (await commands.run("keys", "create", "jiu@example.com", *wrong)).returncode == 2


async def test_keys_are_listed_without_their_secret_and_revoked(commands: Commands, store: Store) -> None:
    await _account(store)
    secret = await commands.printed("keys", "create", "jiu@example.com", "--name", "노트북")

    line = await commands.printed("keys", "list", "jiu@example.com")
    key_id = line.split()[0]
    assert f"...{secret[-4:]}" in line
    assert secret[10:-4] not in line
    assert line.endswith("chat,completions,digests,documents,jobs,models  노트북")
    assert await commands.printed("keys", "revoke", key_id) == key_id

    assert await store.keys.authenticate(secret) is None
    assert "no key" in await commands.refused("keys", "revoke", key_id)
    done = await commands.run("keys", "list", "jiu@example.com")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_what_commands_do_is_in_the_audit_chain(commands: Commands, store: Store) -> None:
    commands.environment["NUNMAL_WEB__PUBLIC_URL"] = "https://nunmal.example"
    user_id = await _create(commands)
    await commands.printed("users", "role", "jiu@example.com", "researcher")
    await commands.printed("users", "reset", "jiu@example.com")
    secret = await commands.printed("keys", "create", "jiu@example.com", "--name", "비밀 이름")
    (key,) = await store.keys.of_user(user_id)
    await commands.printed("keys", "revoke", key.id)

    lines = (await commands.printed("audit", "list")).splitlines()

    assert [line.split("  ")[2:] for line in lines] == [
        [ACTOR, "user_created", user_id, "role=user"],
        [ACTOR, "role_changed", user_id, "after=researcher", "before=user"],
        [ACTOR, "reset_link_made", user_id, "second_step=kept"],
        [
            ACTOR,
            "key_made",
            key.id,
            f"owner={user_id}",
            "scopes=adapters,chat,completions,digests,documents,jobs,models",
        ],
        [ACTOR, "key_revoked", key.id, f"owner={user_id}"],
    ]
    assert await commands.printed("audit", "list", "--last", "2") == "\n".join(lines[-2:])
    stored = repr(await store.audit.last(10))
    for words in ("jiu", "지우", "비밀", secret[10:-4]):
        assert words not in stored


async def test_verify_says_where_the_chain_ends_or_where_it_is_broken(commands: Commands, store: Store) -> None:
    for _ in range(3):
        await store.audit.append(ACTOR, AuditAction.USER_CREATED, new_id(), role="user")
    assert (found := re.fullmatch(r"3 records, head ([0-9a-f]{64})", await commands.printed("audit", "verify")))
    await store.audit.append(ACTOR, AuditAction.USER_CREATED, new_id(), role="user")
    assert (await commands.printed("audit", "verify", "--head", found[1])).startswith("4 records")
    assert "noted head" in await commands.refused("audit", "verify", "--head", "f" * 64)
    assert (await commands.run("audit", "verify", "--head", "short")).returncode == 2

    await store.audit._records.update_one({"_id": 2}, {"$set": {"actor": "command:nobody"}})

    assert "broken at record 2: " in await commands.refused("audit", "verify")


async def test_dead_answers_that_are_replayed_or_dropped_are_recorded(commands: Commands, store: Store) -> None:
    asked = [generation(), generation()]
    for turn in asked:
        await store.generations.add(turn)
        assert await store.generations.claim(LANE, "w")
        await store.generations.finish(turn.id, 1, GenerationState.FAILED, [], "", TooManyAttempts(attempts=3))

    await commands.printed("dead", "replay", asked[0].id)
    await commands.printed("dead", "drop", asked[1].id)
    assert "not among the dead" in await commands.refused("dead", "drop", asked[1].id)

    assert [tuple(record[name] for name in ("actor", "action", "target")) for record in await store.audit.last(10)] == [
        (ACTOR, "dead_replayed", asked[0].id),
        (ACTOR, "dead_dropped", asked[1].id),
    ]


async def test_a_store_that_does_not_answer_is_said_in_one_line(commands: Commands) -> None:
    commands.environment["NUNMAL_STORE_URL"] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"

    assert "ServerSelectionTimeoutError" in await commands.refused("users", "list")


def test_commands_start_without_the_heavy_parts() -> None:
    """Nobody waits seconds for PyTorch to make an API key."""
    code = "import sys; import infra.cli, infra.users, infra.keys, infra.audit; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_commands_find_a_running_service_by_its_home(tmp_path: Path) -> None:
    with Process("up", "--port", "0", NUNMAL_HOME=str(tmp_path)) as process:
        address = process.wait_ready()
        home = {"NUNMAL_HOME": str(tmp_path)}
        user = _nunmal("users", "create", "jiu@example.com", "--name", "지우", given=f"{PASSWORD}\n", **home)
        key = _nunmal("keys", "create", "jiu@example.com", **home)
        link = _nunmal("users", "reset", "jiu@example.com", **home)
        verified = _nunmal("audit", "verify", **home)

    assert is_id(user.stdout.strip())
    assert re.fullmatch(r"sk-nunmal-\S+\n", key.stdout)
    assert re.fullmatch(rf"{address}/reset/\S+\n", link.stdout)
    assert verified.stdout.startswith("3 records")
    assert [done.stderr for done in (user, key, link, verified)] == [""] * 4


@pytest.mark.parametrize("arguments", [("users", "list"), ("keys", "list", "a@example.com"), ("audit", "verify")])
def test_without_a_service_one_line_says_so(arguments: tuple[str, ...], tmp_path: Path) -> None:
    found = _nunmal(*arguments, NUNMAL_HOME=str(tmp_path))

    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith(f"nunmal: no Nunmal runs in NUNMAL_HOME={tmp_path}")


async def test_documents_of_another_index_are_given_to_workers(store: Store, store_url: str) -> None:
    document = await store.documents.add("u", "이름", DocumentKind.TEXT, b"text", 0.0)
    claimed = await store.documents.claim("w")
    assert claimed is not None and await store.documents.finish(document.id, claimed.attempt, "digest")
    commands = Commands(store_url, store._database.name)
    assert (await commands.printed("documents", "reindex")).startswith("0 documents ")
    commands.environment["NUNMAL_INGEST__CHUNK_CHARACTERS"] = "200"
    said = await commands.printed("documents", "reindex", "--list")
    assert said.startswith("1 documents ") and "headers-200" in said
    assert await store.reindexings.all() == []

    await commands.printed("documents", "reindex")
    (job,) = await store.reindexings.all()
    assert (job.id, "headers-200" in job.index) == (document.id, True)
    waiting = asyncio.create_task(commands.printed("documents", "reindex", "--wait"))
    claimed_job = await store.reindexings.claim("w")
    assert claimed_job is not None and await store.documents.switch_index(document.id, FIRST_INDEX, job.index, "d")
    await store.reindexings.finish(job.id, claimed_job.attempt)
    assert (await waiting).endswith("done")


async def test_a_document_that_cannot_be_indexed_anew_is_told(store: Store, store_url: str) -> None:
    document = await store.documents.add("u", "이름", DocumentKind.TEXT, b"text", 0.0)
    await store.reindexings.add(document, "new")
    claimed = await store.reindexings.claim("w")
    assert claimed is not None and await store.reindexings.fail(document.id, claimed.attempt, IndexUnlike(index="new"))
    done = await Commands(store_url, store._database.name).run("documents", "reindex", "--wait")

    assert done.returncode == 1 and "1 documents keep the index they had: index_unlike" in done.stderr
