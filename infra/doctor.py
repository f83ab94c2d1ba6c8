"""`nunmal doctor`: looks at a set-up as this command's environment describes it, and says what to do.

It changes nothing and loads no model. Each check is a function that finds things; what one cannot see it says.
"""

from __future__ import annotations

import asyncio
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infra.gpus import gpu_names
from infra.home import opened_store, with_database
from infra.migrations.run import pending
from shared.broker.rabbitmq import RabbitBroker
from shared.errors import BrokerUnavailable, ConfigError, StoreUnavailable
from shared.settings import PREFIX, Settings
from shared.store import Store
from shared.store.connection import Database
from shared.topology import CHAT_JOBS, lane

_LEAST_PYTHON = (3, 11)
_LEAST_FREE_GIB = 1
_FEW_FREE_GIB = 5
_GIB = 1 << 30
_MOST_CLOCK_S = 0.5  # a worker is lost after 2 s without a heartbeat
_LONGEST_S = 15.0


class Verdict(StrEnum):
    FINE = "fine"
    NOTE = "note"  # may be meant so
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    verdict: Verdict
    seen: str
    advice: str = ""  # what to do; empty where all is fine

    def __str__(self) -> str:
        line = f"{self.verdict:<6} {self.about:<9} {self.seen}"
        return f"{line}\n{'':17}{self.advice}" if self.advice else line


def doctor(settings: Settings) -> None:
    """Print what was found, one check a line. Raises ConfigError if something is wrong."""
    findings = asyncio.run(examined(settings))
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    if wrong := [finding.about for finding in findings if finding.verdict is Verdict.WRONG]:
        raise ConfigError(f"something is wrong with: {', '.join(wrong)}")


async def examined(settings: Settings) -> list[Finding]:
    """All checks, in the order of their dependence."""
    return [
        *_versions(),
        *_secret(settings),
        *_disk(settings.home),
        *_model(settings),
        *_embedding(settings),
        *_gpus(settings),
        *await _broker(settings),
        *await _store(settings),
    ]


def _versions() -> Iterator[Finding]:
    python = platform.python_version()
    if sys.version_info < _LEAST_PYTHON:
        yield Finding("python", Verdict.WRONG, python, "Nunmal needs Python 3.11 or newer.")
    else:
        yield Finding("python", Verdict.FINE, python)
    yield Finding("nunmal", Verdict.FINE, _version_of("nunmal") or "not installed")
    if torch := _version_of("torch"):
        yield Finding("torch", Verdict.FINE, torch)
    else:
        yield Finding("torch", Verdict.NOTE, "not installed", "Web nodes need none; workers do: see README.md.")


def _secret(settings: Settings) -> Iterator[Finding]:
    key = settings.secret_key
    if key is None:
        advice = f"`nunmal up` makes one in its home; web nodes need {PREFIX}SECRET_KEY, the same on all."
        yield Finding("secret", Verdict.NOTE, f"{PREFIX}SECRET_KEY is not set", advice)
    elif len(key.get_secret_value()) < 32:
        yield Finding("secret", Verdict.WRONG, "shorter than 32 characters", "Make one: openssl rand -hex 32")
    else:
        yield Finding("secret", Verdict.FINE, "long enough")


def _disk(home: Path) -> Iterator[Finding]:
    there = next(place for place in (home.expanduser().resolve(), *home.resolve().parents) if place.exists())
    free = shutil.disk_usage(there).free
    seen = f"{free / _GIB:.1f} GiB free at {there}"
    if free < _LEAST_FREE_GIB * _GIB:
        yield Finding("disk", Verdict.WRONG, seen, "The store stops writing when it is full: make room.")
    elif free < _FEW_FREE_GIB * _GIB:
        yield Finding("disk", Verdict.NOTE, seen, f"Make room, or shorten what is kept ({PREFIX}RETENTION__*).")
    else:
        yield Finding("disk", Verdict.FINE, seen)


def _model(settings: Settings) -> Iterator[Finding]:
    source = Path(settings.model_source)
    if settings.worker.upstream_url:
        yield Finding("model", Verdict.FINE, f"{settings.model_name}, run by {settings.worker.upstream_url}")
    elif not source.is_dir():
        seen = f"{settings.model} is no directory here, so it is taken for a name on the Hugging Face hub"
        yield Finding("model", Verdict.NOTE, seen, "Workers have no way out: put the model's files on their disks.")
    elif missing := [name for name in ("config.json", "tokenizer_config.json") if not (source / name).is_file()]:
        yield Finding("model", Verdict.WRONG, f"{source} lacks {', '.join(missing)}", "Copy the whole model there.")
    elif not any(source.glob("*.safetensors")):
        yield Finding("model", Verdict.WRONG, f"{source} has no .safetensors", "Pickled weights are never opened.")
    else:
        size = sum(file.stat().st_size for file in source.glob("*.safetensors"))
        yield Finding("model", Verdict.FINE, f"{settings.model_name}, {size / 1e6:.0f} MB of weights")


def _embedding(settings: Settings) -> Iterator[Finding]:
    model = settings.embedding.model
    if not model:
        return
    if _version_of("sentence-transformers") is None:
        advice = "Web nodes and `nunmal ingest` need it: pip install 'nunmal[embedding]', or the image `embedding`."
        yield Finding("embedding", Verdict.WRONG, "sentence-transformers is not installed", advice)
    elif not Path(model).is_dir():
        seen = f"{model} is no directory here, so it is taken for a name on the Hugging Face hub"
        yield Finding("embedding", Verdict.NOTE, seen, "Nodes that have no way out need the model's files.")
    elif not (Path(model) / "modules.json").is_file():
        advice = "Only a model saved by sentence-transformers tells how its vectors are made."
        yield Finding("embedding", Verdict.WRONG, f"{model} lacks modules.json", advice)
    else:
        yield Finding("embedding", Verdict.FINE, model)


def _gpus(settings: Settings) -> Iterator[Finding]:
    names = gpu_names()
    if names:
        yield Finding("gpu", Verdict.FINE, f"{len(names)}: {', '.join(names)}")
    elif settings.worker.device.startswith("cuda"):
        advice = "Install the driver, give the container its GPU, or set NUNMAL_WORKER__DEVICE=cpu."
        yield Finding("gpu", Verdict.WRONG, f"none, but {settings.worker.device} is asked for", advice)
    else:
        yield Finding("gpu", Verdict.NOTE, "none", "Workers here use the CPU.")


async def _broker(settings: Settings) -> list[Finding]:
    if settings.broker_url is None:
        seen = f"{PREFIX}BROKER_URL is not set"
        return [Finding("broker", Verdict.NOTE, seen, "`nunmal up` has its own; web nodes and workers need RabbitMQ.")]
    try:
        async with asyncio.timeout(_LONGEST_S), RabbitBroker(settings.broker_url.get_secret_value()) as broker:
            return [Finding("broker", Verdict.FINE, f"RabbitMQ {broker.server_version}")]
    except (BrokerUnavailable, TimeoutError) as error:
        advice = "Is it started, is the address right, do user and password fit (infra/rabbitmq/README.md)?"
        return [Finding("broker", Verdict.WRONG, str(error) or "no answer in time", advice)]


async def _store(settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(_LONGEST_S), opened_store(settings) as store:
            found = [await _server(store), await _clock(store), await _workers(store, settings)]
        return [*found, await _migrations(settings)]
    except ConfigError as error:  # no service runs in this home
        return [Finding("store", Verdict.NOTE, str(error), "`nunmal up` has its own, which runs with it.")]
    except (StoreUnavailable, TimeoutError) as error:
        advice = "Is it started, is the address right, do user and password fit (infra/mongodb/README.md)?"
        return [Finding("store", Verdict.WRONG, str(error) or "no answer in time", advice)]


async def _server(store: Store) -> Finding:
    return Finding("store", Verdict.FINE, f"MongoDB wire, {await store.server_version()}")


async def _clock(store: Store) -> Finding:
    """Against the store's clock, or, where that is not told, against the newest heartbeat from the future."""
    before = datetime.now(UTC)
    told = await store.server_time()
    after = datetime.now(UTC)
    if told is None:
        return Finding("clock", Verdict.NOTE, "the store does not tell its time", "See that all hosts run NTP.")
    apart_s = max((before - told).total_seconds(), (told - after).total_seconds(), 0.0)
    seen = f"{apart_s:.3f} s from the store's"
    if apart_s > _MOST_CLOCK_S:
        advice = "Workers are taken for lost after 2 s: run NTP on all hosts (chronyc tracking)."
        return Finding("clock", Verdict.WRONG, seen, advice)
    return Finding("clock", Verdict.FINE, seen)


async def _workers(store: Store, settings: Settings) -> Finding:
    name = lane(CHAT_JOBS, settings.model_name)
    alive = await store.workers.alive(timedelta(seconds=settings.worker.stale_after_s), name)
    if not alive:
        advice = f"Start one (`nunmal worker`, `nunmal fleet`) with NUNMAL_MODEL={settings.model}."
        return Finding("workers", Verdict.NOTE, f"nobody works for {name}", advice)
    if len(digests := {worker.model_digest for worker in alive}) > 1:
        seen = f"{len(alive)} for {name}, with {len(digests)} different models"
        return Finding("workers", Verdict.WRONG, seen, "An answer cannot go on elsewhere: give all the same files.")
    slots = sum(worker.slots for worker in alive)
    return Finding("workers", Verdict.FINE, f"{len(alive)} for {name}, {slots} slots")


async def _migrations(settings: Settings) -> Finding:
    waiting: list[str] = []

    async def look(database: Database) -> None:
        waiting.extend(migration.name for migration in await pending(database))

    async with asyncio.timeout(_LONGEST_S):
        await with_database(settings, look)
    if waiting:
        advice = "When every process is of this version: nunmal migrate (it runs beside the service)."
        return Finding("documents", Verdict.NOTE, f"of an older shape: {', '.join(waiting)}", advice)
    return Finding("documents", Verdict.FINE, "all of this version's shape")


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
