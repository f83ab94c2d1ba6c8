"""The promise of shared/store/adapters.py: versions never change, their files come back as they were pushed, and what a
name means is changed by one at a time."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from shared.adapters.folder import FILES, ORIGIN, WEIGHTS, AdapterFolder
from shared.adapters.manifest import AdapterManifest
from shared.adapters.refusals import AdapterFileChanged, AdapterFileTooLarge, AdapterManifestBroken
from shared.adapters.rollout import Alias, Report, WorkerState, begin, report, retire, roll_back, settle
from shared.errors import AdapterNothingBefore, AdapterVersionUnknown
from shared.store import Store
from shared.store import adapters as adapters_store
from shared.store.times import now
from tests.adapter_folders import BASE, checked, write_adapter


async def push(store: Store, directory: Path, name: str = "wallpaper", by: str = "me") -> AdapterManifest:
    manifest = checked(name, directory)
    await add(store, manifest, directory, by)
    return manifest


async def add(store: Store, manifest: AdapterManifest, directory: Path, by: str = "me") -> bool:
    with AdapterFolder(manifest.name, directory) as folder:
        return await store.adapters.add(manifest, folder, by)


async def content(store: Store, version_id: str, file: str) -> bytes:
    version = await store.adapters.version(version_id)
    return b"".join([piece async for piece in store.adapters.content(version, file)])


async def blobs(store: Store) -> int:
    return await store._database["blobs"].count_documents({})


async def collect(store: Store, monkeypatch: pytest.MonkeyPatch, later_s: float = 3600.0) -> None:
    """What web nodes do now and then, much later."""
    at = now() + later_s
    with monkeypatch.context() as clock:
        clock.setattr("shared.store.leftovers.now", lambda: at)
        await store.pictures.collect(1000)


async def test_a_base_is_what_a_worker_described_last(store: Store) -> None:
    assert await store.adapters.base(BASE.digest) is None

    for _ in range(2):
        await store.adapters.describe_base(BASE)

    assert await store.adapters.base(BASE.digest) == BASE


async def test_files_come_back_as_they_were_pushed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters_store, "_PIECE_BYTES", 100)  # so that a file has many
    directory = write_adapter(tmp_path)

    manifest = await push(store, directory)

    version = await store.adapters.version(manifest.version_id)
    assert (version.manifest, version.digest, version.pushed_by) == (manifest, manifest.digest, "me")
    assert await store.adapters.base_digest(version.id) == BASE.digest
    assert len(version.pieces[WEIGHTS]) > 3
    for file in FILES:
        assert await content(store, version.id, file) == (directory / file).read_bytes()


async def test_the_same_folder_twice_is_one_version(store: Store, tmp_path: Path) -> None:
    manifest = await push(store, write_adapter(tmp_path))
    before = await store.adapters.version(manifest.version_id)

    assert not await add(store, manifest, tmp_path, "other")

    assert await store.adapters.versions() == [before]


async def test_versions_are_listed_by_name_and_then_as_they_came(store: Store, tmp_path: Path) -> None:
    pushed = [
        (await push(store, write_adapter(tmp_path / f"{name}{fill}", fill=fill), name)).version_id
        for name, fill in (("b", 1.0), ("a", 2.0), ("a", 1.0))
    ]

    assert [version.id for version in await store.adapters.versions()] == [*pushed[1:], pushed[0]]
    assert [version.id for version in await store.adapters.versions("a")] == pushed[1:]


async def test_an_unknown_version_is_one_error(store: Store) -> None:
    with pytest.raises(AdapterVersionUnknown, match="wallpaper@000000000000"):
        await store.adapters.version("wallpaper@000000000000")


async def test_a_file_that_changes_after_the_check_is_not_kept(store: Store, tmp_path: Path) -> None:
    manifest = checked("wallpaper", write_adapter(tmp_path))

    write_adapter(tmp_path, fill=2.0)
    with pytest.raises(AdapterFileChanged, match="changed after it had been checked"):
        await add(store, manifest, tmp_path)
    with (tmp_path / WEIGHTS).open("ab") as file:
        file.write(b"more")
    with pytest.raises(AdapterFileTooLarge):
        await add(store, manifest, tmp_path)

    assert await store.adapters.versions() == []


async def test_a_manifest_that_somebody_changed_in_the_store_is_noticed(store: Store, tmp_path: Path) -> None:
    manifest = await push(store, write_adapter(tmp_path))
    changed = manifest.canonical().decode().replace('"rank":2', '"rank":3')
    await store._database["adapter_versions"].update_one({}, {"$set": {"manifest": changed}})

    with pytest.raises(AdapterManifestBroken):
        await store.adapters.version(manifest.version_id)


async def test_another_adapter_of_the_same_short_digest_does_not_take_its_place(store: Store, tmp_path: Path) -> None:
    manifest = await push(store, write_adapter(tmp_path))
    await store._database["adapter_versions"].update_one({}, {"$set": {"digest": "0" * 64}})

    with pytest.raises(AdapterManifestBroken, match="another adapter is called"):
        await add(store, manifest, tmp_path)


async def test_files_stay_while_a_version_has_them_and_go_when_it_is_retired(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await push(store, write_adapter(tmp_path / "a"))
    second = await push(store, write_adapter(tmp_path / "b", fill=2.0))
    await collect(store, monkeypatch)
    assert await blobs(store) == 4, "configuration and origin are the same in both"

    await store.adapters.drop_files(first.version_id)
    await store.adapters.drop_files(first.version_id)
    await collect(store, monkeypatch)

    assert await blobs(store) == 3
    assert await content(store, second.version_id, ORIGIN) == (tmp_path / "b" / ORIGIN).read_bytes()
    assert not (await store.adapters.version(first.version_id)).has_files
    with pytest.raises(AdapterVersionUnknown, match=r"files of .* are gone"):
        await content(store, first.version_id, WEIGHTS)


async def test_a_retired_version_that_is_pushed_again_has_its_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = await push(store, write_adapter(tmp_path))
    await store.adapters.drop_files(manifest.version_id)
    await collect(store, monkeypatch)

    await push(store, tmp_path)
    await collect(store, monkeypatch)

    assert await content(store, manifest.version_id, WEIGHTS) == (tmp_path / WEIGHTS).read_bytes()


async def test_what_was_pushed_by_nobody_in_the_end_goes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = checked("wallpaper", write_adapter(tmp_path))
    write_adapter(tmp_path, fill=2.0)
    with pytest.raises(AdapterFileChanged):
        await add(store, manifest, tmp_path)

    await collect(store, monkeypatch)

    assert await blobs(store) == 0


# Names.


async def test_a_name_that_was_never_used_means_nothing(store: Store) -> None:
    assert await store.adapters.alias("wallpaper") == Alias(name="wallpaper")
    assert await store.adapters.change("wallpaper", lambda alias: alias) == Alias(name="wallpaper")
    assert await store.adapters.aliases() == []


async def test_a_name_that_cannot_be_read_hides_no_other(store: Store) -> None:
    other = await store.adapters.change(
        "wallpaper", lambda alias: begin(alias, "wallpaper@111111111111", "r", 0.0, 1.0)
    )
    await store._database["adapter_aliases"].insert_one({"_id": "later", "revision": 1, "content": {"rollout": "new"}})

    assert await store.adapters.aliases() == [other]


async def test_a_roll_out_is_kept_as_it_goes(store: Store) -> None:
    one, two = "wallpaper@111111111111", "wallpaper@222222222222"
    said = Report(state=WorkerState.FAILED, at=2.5, code="adapter_not_finite", facts={"value": "a.b", "limit": 3})
    steps = (
        lambda alias: begin(alias, one, "r1", 1.25, 60.0),
        lambda alias: report(alias, "r1", "a", Report(state=WorkerState.TESTED, at=2.0)),
        lambda alias: settle(alias, ["a"], 2.0),
        lambda alias: begin(alias, two, "r2", 3.0, 60.0, share=0.25),
        lambda alias: report(alias, "r2", "a", said),
        lambda alias: settle(alias, ["a"], 4.0),
        lambda alias: retire(alias, two),
    )

    for step in steps:
        changed = await store.adapters.change("wallpaper", step)
        assert await store.adapters.alias("wallpaper") == changed

    assert (changed.active, changed.retired) == (one, (two,))
    assert changed.last is not None
    assert changed.last.rollout.reports["a"] == said
    assert await store.adapters.aliases() == [changed]


async def test_many_workers_that_report_at_once_are_all_heard(store: Store) -> None:
    await store.adapters.change("wallpaper", lambda alias: begin(alias, "wallpaper@111111111111", "r", 0.0, 60.0))
    workers = [f"worker-{number}" for number in range(12)]

    async def go(worker: str) -> None:
        for said in (Report(state=state, at=1.0) for state in list(WorkerState)[:4]):
            await store.adapters.change("wallpaper", partial(report, rollout_id="r", worker_id=worker, said=said))

    await asyncio.gather(*map(go, workers))

    alias = await store.adapters.change("wallpaper", lambda alias: settle(alias, workers, 1.0))
    assert alias.active == "wallpaper@111111111111"
    assert alias.last is not None
    assert {said.state for said in alias.last.rollout.reports.values()} == {WorkerState.TESTED}
    assert len(alias.last.rollout.reports) == 12


async def test_two_that_begin_at_once_leave_one_roll_out(store: Store) -> None:
    async def go(number: int) -> object:
        adapter = f"wallpaper@{number:012}"
        return await store.adapters.change("wallpaper", lambda alias: begin(alias, adapter, str(number), 0.0, 60.0))

    found = await asyncio.gather(*map(go, range(5)), return_exceptions=True)

    assert sum(isinstance(each, Alias) for each in found) == 1


async def test_what_a_rule_refuses_changes_nothing(store: Store) -> None:
    with pytest.raises(AdapterNothingBefore):
        await store.adapters.change("wallpaper", lambda alias: roll_back(alias, "r", 0.0, 60.0))

    assert await store.adapters.aliases() == []
