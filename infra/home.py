"""The directory of the one-command service: its lock, its secrets, its data, and the way commands find its store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from pymongo.errors import PyMongoError

from shared.errors import ConfigError, StoreUnavailable
from shared.settings import Settings
from shared.store import Store
from shared.store.connection import Database, open_client

_OWNER_ONLY = 0o700


@contextlib.contextmanager
def opened_home(home: Path) -> Iterator[Path]:
    """Make `home` if needed, close it to other users, and hold it for this process alone.

    Raises ConfigError if it cannot be written or closed, or if another process holds it.
    """
    home = home.expanduser().resolve()
    try:
        for directory in (home, home / "store"):
            directory.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            _close(directory)
        lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"NUNMAL_HOME={home} cannot be written ({error.strerror}); choose another with NUNMAL_HOME=/some/directory"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another Nunmal runs in {home}; stop it, or choose another home with NUNMAL_HOME=/some/directory"
            ) from error
        yield home
    finally:
        os.close(lock)


@contextlib.contextmanager
def noted_store(home: Path, url: str) -> Iterator[None]:
    """While open, commands of the same user find the running store by the home."""
    with _noted(home / "store_url", url):
        yield


@contextlib.contextmanager
def noted_pages(home: Path, url: str) -> Iterator[None]:
    """The same for the address of the pages."""
    with _noted(home / "pages_url", url):
        yield


@contextlib.contextmanager
def _noted(note: Path, url: str) -> Iterator[None]:
    note.touch(mode=0o600)
    note.write_text(url)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def running_store(home: Path) -> str:
    """The address of the store of a service that runs in `home`. Raises ConfigError if none does."""
    if url := _running(home, "store_url"):
        return url
    home = home.expanduser().resolve()
    raise ConfigError(f"no Nunmal runs in NUNMAL_HOME={home}; start one, choose its home, or set NUNMAL_STORE_URL")


def running_pages(home: Path) -> str:
    """The address of the pages of a service that runs in `home`, or ""."""
    return _running(home, "pages_url")


def _running(home: Path, note: str) -> str:
    home = home.expanduser().resolve()
    try:
        with (home / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError):
            return (home / note).read_text()
    except OSError:
        pass
    return ""


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """For a command: the store at NUNMAL_STORE_URL, or of the service that runs in the home.

    Raises ConfigError if there is neither, StoreUnavailable if it does not answer.
    """
    async with Store(store_address(settings), settings.store_database) as store:
        yield store


def store_address(settings: Settings) -> str:
    """For a command: NUNMAL_STORE_URL, or that of the service that runs in the home. Raises ConfigError."""
    return settings.store_url.get_secret_value() if settings.store_url else running_store(settings.home)


async def with_database(settings: Settings, work: Callable[[Database], Awaitable[None]]) -> None:
    """For a command that works on whole collections. Raises ConfigError, StoreUnavailable."""
    client = open_client(store_address(settings))
    try:
        await work(client[settings.store_database])
    except PyMongoError as error:
        raise StoreUnavailable(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from error
    finally:
        client.close()


def _close(directory: Path) -> None:
    """Let nobody else in, also where it was made by hand. Raises OSError, and ConfigError for one that all share."""
    mode = directory.stat().st_mode
    if mode & stat.S_ISVTX:
        raise ConfigError(f"NUNMAL_HOME={directory} is shared by all users; choose a directory of its own")
    if stat.S_IMODE(mode) & ~_OWNER_ONLY:
        directory.chmod(_OWNER_ONLY)


def secret_key(home: Path) -> str:
    """The home's own secret, made once, readable by its owner only. Raises ConfigError if the file is damaged."""
    path = home / "secret_key"
    if not path.exists():
        fresh = home / "secret_key.new"
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    key = path.read_text().strip()
    if len(key) < 32:
        raise ConfigError(f"{path} is damaged; remove it to have a new one made (everybody logs in again)")
    return key
