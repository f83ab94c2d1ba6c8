"""The folder of an adapter from outside: which files it may have, and reading them without being led elsewhere.

    adapter_config.json         what PEFT was told
    adapter_model.safetensors   the tensors
    nunmal.json                 what it was trained on, and how

A README.md may lie beside them, which nobody reads. Every file is opened once, relative to the opened folder, and what
follows is about the opened file: whoever exchanges it meanwhile by a link changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from shared.adapters.refusals import (
    AdapterFileKind,
    AdapterFileMissing,
    AdapterFileTooLarge,
    AdapterFileUnknown,
    AdapterFileUnreadable,
    refusal,
)

FileName = Literal["adapter_config.json", "adapter_model.safetensors", "nunmal.json"]

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
ORIGIN: Final = "nunmal.json"
FILES: tuple[FileName, ...] = (CONFIG, WEIGHTS, ORIGIN)
MOST_JSON_BYTES = 256 << 10

_IGNORED = frozenset({"README.md"})
_MOST_ENTRIES = 100
_CODE = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".py", ".so"})
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class AdapterFolder:
    """`with AdapterFolder(name, directory) as folder:` opens it and looks at its entries. Raises AdapterRefused."""

    def __init__(self, adapter: str, directory: Path) -> None:
        self.adapter = adapter
        self._directory = directory
        self._descriptor = -1

    def __enter__(self) -> AdapterFolder:
        try:
            self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unreadable(".", f"its directory cannot be read ({error.strerror})", error) from error
        try:
            self._check_entries()
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._descriptor)

    @contextlib.contextmanager
    def opened(self, file: FileName, most_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
        """One of FILES and its size in bytes, no more than `most_bytes`. Raises AdapterRefused."""
        try:  # neither a link nor a pipe may lead away or wait
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(file, flags, dir_fd=self._descriptor)
        except FileNotFoundError as error:
            raise refusal(AdapterFileMissing, self.adapter, file, "", f"no {file}") from error
        except OSError as error:
            raise self._unreadable(file, f"{file} cannot be read ({error.strerror})", error) from error
        with os.fdopen(descriptor, "rb", buffering=0) as opened:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise self._kind(file, found.st_mode)
            if found.st_size > most_bytes:
                reason = f"{file} is larger than {most_bytes} bytes, the most such an adapter can have"
                raise refusal(AdapterFileTooLarge, self.adapter, file, most_bytes, reason)
            yield opened, found.st_size

    def read(self, file: FileName, most_bytes: int) -> bytes:
        """The whole of one of FILES. Raises AdapterRefused."""
        with self.opened(file, most_bytes) as (opened, size):
            return read_exactly(self.adapter, file, opened, size)

    def read_json(self, file: FileName) -> tuple[bytes, dict[str, Any]]:
        """Bytes and value of one that is a JSON object. Raises AdapterRefused."""
        content = self.read(file, MOST_JSON_BYTES)
        return content, json_object(self.adapter, file, content)

    def _check_entries(self) -> None:
        with os.scandir(self._descriptor) as entries:
            for number, entry in enumerate(entries):
                if number == _MOST_ENTRIES:
                    reason = f"its directory has more than {_MOST_ENTRIES} entries"
                    raise refusal(AdapterFileUnknown, self.adapter, ".", _MOST_ENTRIES, reason)
                if not entry.is_file(follow_symlinks=False):
                    raise self._kind(entry.name, entry.stat(follow_symlinks=False).st_mode)
                if Path(entry.name).suffix.lower() in _CODE:
                    reason = f"{entry.name!r}: files of this kind can hold code, only safetensors are taken"
                    raise refusal(AdapterFileUnknown, self.adapter, entry.name, entry.name, reason)
                if entry.name not in _IGNORED.union(FILES):
                    reason = f"{entry.name!r} is none of the files an adapter has ({', '.join(FILES)})"
                    raise refusal(AdapterFileUnknown, self.adapter, entry.name, entry.name, reason)

    def _kind(self, file: str, mode: int) -> AdapterFileKind:
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        return refusal(AdapterFileKind, self.adapter, file, kind, f"{file!r} is not a plain file but {kind}")

    def _unreadable(self, file: str, reason: str, error: OSError) -> AdapterFileUnreadable:
        return refusal(AdapterFileUnreadable, self.adapter, file, error.strerror, reason)


def read_exactly(adapter: str, file: str, opened: BinaryIO, size: int) -> bytes:
    """The next `size` bytes. Raises AdapterFileUnreadable if there are fewer."""
    pieces = []
    while size and (piece := opened.read(size)):
        pieces.append(piece)
        size -= len(piece)
    if size:
        raise refusal(AdapterFileUnreadable, adapter, file, size, f"{file} became shorter while it was read")
    return b"".join(pieces)


def json_object(adapter: str, file: str, content: bytes) -> dict[str, Any]:
    """Strict: UTF-8, every key once, finite numbers, text that can be written again. Raises AdapterFileUnreadable."""
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate ends here
    except (ValueError, RecursionError) as error:
        raise refusal(AdapterFileUnreadable, adapter, file, error, f"{file} is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise refusal(AdapterFileUnreadable, adapter, file, kind, f"{file} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers might take different ones of two values."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!r} stands there twice")
        found[name] = value
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:40]} is no finite number")
    return value
