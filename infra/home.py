"""The directory of the one-command service: its lock, its secrets, its data."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from shared.errors import ConfigError


@contextlib.contextmanager
def opened_home(home: Path) -> Iterator[Path]:
    """Make `home` if needed and hold it for this process alone.

    Raises ConfigError if it cannot be written, or if another process holds it.
    """
    home = home.expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "store").mkdir(exist_ok=True)
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
    note = home / "store_url"
    note.touch(mode=0o600)
    note.write_text(url)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def running_store(home: Path) -> str:
    """The address of the store of a service that runs in `home`. Raises ConfigError if none does."""
    home = home.expanduser().resolve()
    try:
        with (home / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError):
            return (home / "store_url").read_text()
    except OSError:
        pass
    raise ConfigError(f"no Nunmal runs in NUNMAL_HOME={home}; start one, choose its home, or set NUNMAL_STORE_URL")


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
