"""`nunmal adapters`: from a folder to an active version, and back, beside workers that report."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from infra import adapters, cli
from shared.adapters.refusals import AdapterNotFinite
from shared.adapters.rollout import Report, Rollout, WorkerState, begin, report
from shared.errors import AdapterBaseUnknown, AdapterInUse, AdapterNothingBefore, AdapterVersionUnknown, RolloutFailed
from shared.settings import Settings, load_settings
from shared.store import Store
from shared.store.times import now
from tests.adapter_folders import BASE, checked, write_adapter
from tests.waiting import until

TESTED = Report(state=WorkerState.TESTED, at=1.0)
Pushed = Callable[[float], Awaitable[str]]


@pytest.fixture
def settings(store: Store, store_url: str) -> Settings:
    environment = {
        "NUNMAL_WEB__GATE": "off",
        "NUNMAL_STORE_URL": store_url,
        "NUNMAL_STORE_DATABASE": store._database.name,
    }
    return load_settings(environment, web={"gate": "off"}, worker={"stale_after_s": 60})


@pytest.fixture
def push(settings: Settings, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Pushed:
    """A version of `wallpaper` for each number it is filled with."""

    async def pushed(fill: float) -> str:
        await store.adapters.describe_base(BASE)
        await adapters._push(settings, write_adapter(tmp_path / str(fill), fill=fill), "wallpaper")
        return capsys.readouterr().out.strip()

    return pushed


async def alive(store: Store, worker_id: str, digest: str = BASE.digest) -> None:
    await store.workers.beat(worker_id, "chat.test", "test", digest, 1, 0)


async def say(store: Store, worker_id: str, said: Report) -> None:
    """What the worker reports, as soon as a roll-out runs."""

    async def rolling() -> Rollout | None:
        return (await store.adapters.alias("wallpaper")).rollout

    rollout = await until(rolling, 30)
    assert rollout is not None
    await store.adapters.change("wallpaper", lambda alias: report(alias, rollout.id, worker_id, said))


async def taken(store: Store, command: Awaitable[None], said: Report = TESTED) -> None:
    """The command, while one worker says this."""
    await alive(store, "worker")
    await asyncio.gather(command, say(store, "worker", said))


async def actions(store: Store) -> list[tuple[str, str]]:
    return [(record["action"], record["target"]) for record in await store.audit.last(100)]


async def test_from_a_folder_to_an_active_version_and_back(
    settings: Settings, store: Store, push: Pushed, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = await push(1.0), await push(2.0)
    await alive(store, "another", "f00")  # serves another base: it is not asked

    for version in (one, two):
        await taken(store, adapters._activate(settings, version, 60))
    assert capsys.readouterr().out.splitlines()[-2:] == [f"{two}  worker  tested", f"{two}  active"]
    await adapters._show(settings, "wallpaper")
    uses = [row.split("  ")[2] for row in capsys.readouterr().out.splitlines()]
    assert uses == ["previous", "active"]

    await taken(store, adapters._rollback(settings, "wallpaper", 60))

    assert capsys.readouterr().out.splitlines()[-1] == f"{one}  active"
    assert await actions(store) == [
        ("adapter_pushed", one),
        ("adapter_pushed", two),
        ("adapter_activated", one),
        ("adapter_activated", two),
        ("adapter_rolled_back", "wallpaper"),
    ]
    with pytest.raises(AdapterNothingBefore):
        await adapters._rollback(settings, "wallpaper", 60)
    assert len(await actions(store)) == 5, "what is refused is not recorded"


async def test_a_worker_that_fails_ends_it_with_its_reason(
    settings: Settings, store: Store, push: Pushed, capsys: pytest.CaptureFixture[str]
) -> None:
    version = await push(1.0)

    failed = Report(state=WorkerState.FAILED, at=1.0, code="adapter_not_finite", facts={"reason": "q is not finite"})

    with pytest.raises(RolloutFailed, match=f"{version} is not in use: it failed at the worker worker"):
        await taken(store, adapters._activate(settings, version, 60), failed)

    assert f"{version}  worker  failed  q is not finite" in capsys.readouterr().out
    assert (await store.adapters.alias("wallpaper")).active is None


async def test_a_canary_begins_and_ends(settings: Settings, store: Store, push: Pushed) -> None:
    version = await push(1.0)

    await taken(store, adapters._canary(settings, version, 0.1, 60))
    canary = (await store.adapters.alias("wallpaper")).canary
    assert canary is not None
    assert (canary.adapter, canary.share) == (version, 0.1)
    with pytest.raises(AdapterInUse):
        await adapters._retire(settings, version)

    other = await push(2.0)
    await store.adapters.change("wallpaper", lambda alias: begin(alias, other, "r", now(), 600))
    await adapters._canary(settings, version, 0.0, 60)  # and does not wait for the other
    assert (await store.adapters.alias("wallpaper")).canary is None


async def test_a_retired_version_is_listed_and_can_be_pushed_again(
    settings: Settings, store: Store, push: Pushed, capsys: pytest.CaptureFixture[str]
) -> None:
    version = await push(1.0)

    await adapters._retire(settings, version)
    await adapters._show(settings, None)
    assert "  retired  " in capsys.readouterr().out
    assert not (await store.adapters.version(version)).has_files

    assert await push(1.0) == version
    assert (await store.adapters.alias("wallpaper")).retired == ()
    assert (await store.adapters.version(version)).has_files


async def test_what_is_refused_leaves_nothing(settings: Settings, store: Store, tmp_path: Path) -> None:
    with pytest.raises(AdapterBaseUnknown, match=BASE.digest):
        await adapters._push(settings, write_adapter(tmp_path), "wallpaper")
    await store.adapters.describe_base(BASE)
    with pytest.raises(AdapterNotFinite):
        await adapters._push(settings, write_adapter(tmp_path, fill=float("nan")), "wallpaper")
    with pytest.raises(AdapterVersionUnknown):
        await adapters._activate(settings, "wallpaper@000000000000", 60)

    assert await store.adapters.versions() == []
    assert await actions(store) == []


async def test_two_versions_differ_in_what_was_changed(
    settings: Settings, push: Pushed, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = await push(1.0), await push(2.0)

    await adapters._diff(settings, one, two)

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("adapter_model.safetensors: ")


async def test_the_command_line_leads_there(
    store: Store, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUNMAL_STORE_URL", store_url)
    monkeypatch.setenv("NUNMAL_STORE_DATABASE", store._database.name)
    monkeypatch.setenv("NUNMAL_WEB__GATE", "off")
    await store.adapters.describe_base(BASE)
    directory = write_adapter(tmp_path)
    version = checked("wallpaper", directory).version_id

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(cli.run, ["adapters", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    assert await run("push", str(directory), "--name", "wallpaper") == (0, f"{version}\n", "")
    assert (await run("list", "wallpaper"))[1].startswith(f"{version}  ")
    assert await run("diff", version, version) == (0, "", "")
    assert await run("canary", version, "0%") == (0, f"{version}  canary 0%\n", "")
    monkeypatch.setenv("NUNMAL_WEB__GATE", "")
    code, _, said = await run("activate", version, "--timeout-s", "1")
    assert (code, said) == (1, f"nunmal: {version} is not in use: its gate's questions were not answered in time\n")
    monkeypatch.setenv("NUNMAL_WEB__GATE", "off")
    code, _, said = await run("activate", version, "--timeout-s", "1")
    assert (code, said) == (1, f"nunmal: {version} is not in use: no worker that serves its base is there\n")
    assert (await run("rollback", "wallpaper"))[0] == 1
    assert await run("retire", version) == (0, f"{version}\n", "")
    (directory / "adapter_model.bin").touch()
    code, _, said = await run("push", str(directory), "--name", "wallpaper")
    assert code == 1
    assert said.startswith("nunmal: adapter wallpaper: 'adapter_model.bin': files of this kind can hold code")


@pytest.mark.parametrize("share", ["10", "101%", "x%", "1e1%", "%"])
def test_a_share_is_written_in_percent(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["adapters", "canary", "wallpaper@000000000000", share])

    assert "not a share from 0% to 100%" in capsys.readouterr().err
