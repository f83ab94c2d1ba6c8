"""The adapters of one worker: it loads what names mean and what waiting questions name, tests it, and says so.

The store holds the truth (shared/adapters/rollout.py); messages only make it look sooner. Versions go by their id
(`name@12hex`), so two versions of one name are two adapters here. One that cannot be loaded is told with its reason,
and its questions are left to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

from shared.adapters.manifest import AdapterFile
from shared.adapters.refusals import AdapterFileChanged, refusal
from shared.adapters.rollout import Alias, Report, WorkerState, report
from shared.errors import AdapterVersionUnknown, EngineLost, NunmalError, StoreUnavailable
from shared.messages import AdapterPublished
from shared.rollouts import settle_one
from shared.store import Store
from shared.store.adapters import AdapterVersion
from shared.store.times import now
from shared.telemetry import fields
from workers.heartbeat import WorkerIdentity
from workers.patience import patiently
from workers.self_test import self_test
from workers.served_model import ServedModel

log = logging.getLogger(__name__)

_COMPARE_EVERY_S = 2.0  # with the store, whether or not a message came
_TRY_AGAIN_S = 30.0  # what could not be loaded, if it is still wanted


class AdapterKeeper:
    """`stale_after`: of a worker's heartbeat."""

    def __init__(self, store: Store, model: ServedModel, worker: WorkerIdentity, stale_after: timedelta) -> None:
        self._store = store
        self._model = model
        self._worker = worker
        self._stale_after = stale_after
        self._news = asyncio.Event()
        self._bases: dict[str, str | None] = {}  # of each version; they never change
        self._tested: list[str] = []
        self._failed: dict[str, tuple[NunmalError, float]] = {}  # why, and when
        self._gone: tuple[str, ...] = ()  # waiting questions name them, and nobody has their files any more

    @property
    def loaded(self) -> tuple[str, ...]:
        """Versions that have answered a question here."""
        return tuple(self._tested)

    @property
    def takes(self) -> tuple[str, ...]:
        """Versions whose questions this worker claims: what it has, and what nobody can have, which then fails."""
        return (*self._tested, *self._gone)

    async def open(self) -> None:
        """Tell what adapters must fit, and load what is in use, before the first question is taken."""
        base = self._model.engine.base
        if base is not None:
            await patiently(lambda: self._store.adapters.describe_base(base))
            await patiently(self._compare)

    async def run(self) -> None:
        """Until cancelled."""
        while self._model.engine.base is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _COMPARE_EVERY_S)
            self._news.clear()
            try:
                await self._compare()
            except StoreUnavailable as error:
                log.info("adapters_wait", extra=fields(reason=str(error)))
            except EngineLost:
                return
            except Exception:  # a fault of ours costs no answer: what is loaded goes on
                log.exception("adapters_not_compared")

    def look(self, message: AdapterPublished) -> None:
        """Something has changed in the store."""
        log.info("adapter_published", extra=fields(adapter=message.adapter))
        self._news.set()

    async def _compare(self) -> None:
        aliases = await self._store.adapters.aliases()
        needed = await self._ours(await self._store.generations.adapters_needed(self._worker.lane))
        wanted = await self._ours(version for alias in aliases for version in alias.wanted())
        rolling = {alias.rollout.adapter: alias for alias in aliases if alias.rollout}
        gone = []
        for version in dict.fromkeys((*wanted, *needed)):
            if version not in self._tested and not await self._take(version, rolling.get(version)):
                gone += [version] if version in needed else []
            if version in rolling:
                await self._say_how_it_ended(rolling[version], version)
        self._gone = tuple(gone)
        for version in [each for each in self._tested if each not in wanted and each not in needed]:
            self._tested.remove(version)  # running answers end with it
            await self._model.engine.unload_adapter(version)
            log.info("adapter_unloaded", extra=fields(adapter=version))

    async def _ours(self, versions: Iterable[str]) -> list[str]:
        """Those that fit this base."""
        found = []
        for version in dict.fromkeys(versions):
            if self._bases.get(version) is None:
                self._bases[version] = await self._store.adapters.base_digest(version)
            if self._bases[version] == self._worker.model_digest:
                found.append(version)
        return found

    async def _take(self, version: str, alias: Alias | None) -> bool:
        """Fetch, verify, load and test it; False: nobody has its files. Raises StoreUnavailable, EngineLost."""
        if version in self._failed and not self._may_try_again(version, alias):
            return True
        self._failed.pop(version, None)
        try:
            with tempfile.TemporaryDirectory(prefix="nunmal-adapter-") as directory:
                await self._report(alias, WorkerState.FETCHING)
                await _fetch(self._store, await self._store.adapters.version(version), Path(directory))
                await self._report(alias, WorkerState.VERIFIED)
                await self._model.engine.load_adapter(version, Path(directory))
            await self._report(alias, WorkerState.LOADED)
            await self._test(version)
        except (StoreUnavailable, EngineLost):
            raise
        except AdapterVersionUnknown:
            return False
        except (NunmalError, TimeoutError, OSError) as error:
            told = error if isinstance(error, NunmalError) else NunmalError(type(error).__name__)
            self._failed[version] = told, time.monotonic()
            log.warning("adapter_failed", extra=fields(adapter=version, code=told.code, reason=str(told)))
        else:
            self._tested.append(version)
            log.info("adapter_loaded", extra=fields(adapter=version))
        return True

    async def _test(self, version: str) -> None:
        """What does not answer does not stay. Raises ModelError, TimeoutError."""
        try:
            await self_test(self._model, version)
        except BaseException:
            await self._model.engine.unload_adapter(version)
            raise

    def _may_try_again(self, version: str, alias: Alias | None) -> bool:
        """Another roll-out asks for it, or it was long ago and is still wanted."""
        if alias is not None and alias.rollout is not None:
            return self._worker.id not in alias.rollout.reports
        return time.monotonic() - self._failed[version][1] > _TRY_AGAIN_S

    async def _say_how_it_ended(self, alias: Alias, version: str) -> None:
        """And move the alias if this worker was the last."""
        assert alias.rollout is not None
        said = alias.rollout.reports.get(self._worker.id)
        if said is not None and said.state in (WorkerState.TESTED, WorkerState.FAILED):
            return
        if version in self._tested:
            await self._report(alias, WorkerState.TESTED)
        elif version in self._failed:
            await self._report(alias, WorkerState.FAILED, self._failed[version][0])
        else:
            await self._report(alias, WorkerState.FAILED, AdapterVersionUnknown(adapter=version))
        await settle_one(self._store, alias.name, self._stale_after)

    async def _report(self, alias: Alias | None, state: WorkerState, error: NunmalError | None = None) -> None:
        if alias is None or alias.rollout is None:
            return
        said = Report(state=state, at=now())
        if error is not None:
            facts = error.facts if error.facts else {"reason": str(error)}
            said = said.model_copy(update={"code": error.code, "facts": facts})
        change = partial(report, rollout_id=alias.rollout.id, worker_id=self._worker.id, said=said)
        await self._store.adapters.change(alias.name, change)


async def _fetch(store: Store, version: AdapterVersion, directory: Path) -> None:
    """Its files, each held against the manifest. Raises AdapterVersionUnknown, AdapterRefused, StoreUnavailable."""
    for file in version.manifest.files:
        digest, size = hashlib.sha256(), 0
        with (directory / file.name).open("wb") as written:
            async for piece in store.adapters.content(version, file.name):
                size += len(piece)
                if size > file.size_bytes:
                    raise _changed(version, file)
                await asyncio.to_thread(_keep, written, digest, piece)
        if (digest.hexdigest(), size) != (file.sha256, file.size_bytes):
            raise _changed(version, file)


def _keep(written: BinaryIO, digest: hashlib._Hash, piece: bytes) -> None:
    written.write(piece)
    digest.update(piece)


def _changed(version: AdapterVersion, file: AdapterFile) -> AdapterFileChanged:
    reason = f"{file.name} is not the file that was pushed"
    return refusal(AdapterFileChanged, version.id, file.name, file.sha256, reason)
