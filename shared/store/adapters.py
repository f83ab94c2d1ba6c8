"""Adapters: bases as workers describe them, versions with their files, and for each name what is in use.

A version never changes; its files are blobs, in pieces, because a blob is one document. All that changes about a name
is one document (shared/adapters/rollout.py has the rules), written only over the revision that was read.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError

from shared.adapters.base import BaseDescription, LinearShape
from shared.adapters.folder import AdapterFolder
from shared.adapters.manifest import AdapterFile, AdapterManifest, read_manifest
from shared.adapters.refusals import AdapterFileChanged, AdapterManifestBroken, refusal
from shared.adapters.rollout import Alias
from shared.errors import AdapterVersionUnknown
from shared.store.blobs import Blobs
from shared.store.connection import Collection, Document, translated
from shared.store.leftovers import unique
from shared.store.times import moment, now
from shared.telemetry import fields

log = logging.getLogger(__name__)

_PIECE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class AdapterVersion:
    id: str  # `name@12hex`
    digest: str
    manifest: AdapterManifest
    pieces: Mapping[str, tuple[str, ...]]  # of each file, the blobs in order; empty when it was retired
    pushed_at: datetime
    pushed_by: str  # a user's id, or `command:` and who ran it

    @property
    def has_files(self) -> bool:
        return bool(self.pieces)


class Adapters:
    def __init__(self, versions: Collection, aliases: Collection, bases: Collection, blobs: Blobs) -> None:
        self._versions = versions
        self._aliases = aliases
        self._bases = bases
        self._blobs = blobs

    @translated
    async def ensure_indexes(self) -> None:
        """Not on `blobs`: there are few versions, and the embedded store finds nothing by an index on a list."""
        await self._versions.create_index("name")

    # Bases.

    @translated
    async def describe_base(self, base: BaseDescription) -> None:
        """A worker that has loaded it tells what adapters must fit."""
        linears = [[name, shape.inputs, shape.outputs] for name, shape in base.linears.items()]
        said = {"numerics": base.numerics, "linears": linears, "described_at": now()}
        await self._bases.update_one({"_id": base.digest}, {"$set": said}, upsert=True)

    @translated
    async def base(self, digest: str) -> BaseDescription | None:
        document = await self._bases.find_one({"_id": digest})
        if document is None:
            return None
        linears = {name: LinearShape(inputs, outputs) for name, inputs, outputs in document["linears"]}
        return BaseDescription(digest, document["numerics"], linears)

    # Versions.

    @translated
    async def add(self, manifest: AdapterManifest, folder: AdapterFolder, pushed_by: str) -> bool:
        """Keep a checked adapter (shared/adapters/check.py) out of the folder that was checked.

        False: this version was there; a retired one has its files again. Raises AdapterRefused if they are not those of
        the manifest any more.
        """
        pieces = await self._put(manifest, folder)
        kept: Document = {
            "pieces": [{"file": file, "blobs": blobs} for file, blobs in pieces.items()],
            "blobs": unique(blob for blobs in pieces.values() for blob in blobs),
        }
        version: Document = {
            "_id": manifest.version_id,
            "name": manifest.name,
            "digest": manifest.digest,
            "base_digest": manifest.origin.base_digest,
            "manifest": manifest.canonical().decode(),
            "pushed_at": now(),
            "pushed_by": pushed_by,
        }
        try:
            await self._versions.insert_one(version | kept)
        except DuplicateKeyError as error:
            found = await self._versions.find_one({"_id": manifest.version_id}, {"digest": 1, "blobs": 1})
            if found is None or found["digest"] != manifest.digest:
                reason = f"another adapter is called {manifest.version_id} already"
                raise refusal(AdapterManifestBroken, manifest.name, "manifest", manifest.digest, reason) from error
            if not found["blobs"]:
                await self._versions.update_one({"_id": manifest.version_id}, {"$set": kept})
            return False
        return True

    @translated
    async def version(self, version_id: str) -> AdapterVersion:
        """Raises AdapterVersionUnknown, and AdapterManifestBroken if the store has it otherwise than it was written."""
        document = await self._versions.find_one({"_id": version_id})
        if document is None:
            raise AdapterVersionUnknown(f"there is no version {version_id}", adapter=version_id)
        return _version(document)

    @translated
    async def base_digest(self, version_id: str) -> str | None:
        """Of the base that this version fits; None: there is no such version."""
        document = await self._versions.find_one({"_id": version_id}, {"base_digest": 1})
        return str(document["base_digest"]) if document else None

    @translated
    async def versions(self, name: str | None = None) -> list[AdapterVersion]:
        """Of one name or of all; by name, the first pushed first."""
        cursor = self._versions.find({} if name is None else {"name": name})
        found = [_version(document) async for document in cursor]
        return sorted(found, key=lambda version: (version.manifest.name, version.pushed_at))

    async def content(self, version: AdapterVersion, file: str) -> AsyncIterator[bytes]:
        """One of its files, a few megabytes at a time. Check the SHA-256 of the whole against the manifest.

        Raises AdapterVersionUnknown if it was retired meanwhile.
        """
        for blob in version.pieces.get(file, ("",)):
            piece = await self._blobs.get(blob)
            if piece is None:
                raise AdapterVersionUnknown(f"the files of {version.id} are gone", adapter=version.id)
            yield piece

    @translated
    async def drop_files(self, version_id: str) -> None:
        """After it was retired: its blobs go, what it was stays known."""
        document = await self._versions.find_one({"_id": version_id}, {"blobs": 1})
        if document is None or not document["blobs"]:
            return
        await self._blobs.leftovers.keep({"_id": {"$in": document["blobs"]}})  # looked at later, whoever dies now
        await self._versions.update_one({"_id": version_id}, {"$set": {"pieces": [], "blobs": []}})
        await self._blobs.leftovers.suspect(document["blobs"])

    # Names.

    @translated
    async def alias(self, name: str) -> Alias:
        """Of a name that was never used: an empty one."""
        return _alias(name, await self._aliases.find_one({"_id": name}))

    @translated
    async def aliases(self) -> list[Alias]:
        """By name. What a newer release wrote and we cannot read is left out: all processes look here all the time."""
        found = []
        async for document in self._aliases.find({}):
            try:
                found.append(_alias(document["_id"], document))
            except ValidationError:
                log.warning("adapter_alias_unreadable", extra=fields(adapter=document["_id"]))
        return sorted(found, key=lambda alias: alias.name)

    @translated
    async def change(self, name: str, change: Callable[[Alias], Alias]) -> Alias:
        """Apply a rule of shared/adapters/rollout.py, again if somebody else was quicker. Raises what it raises."""
        while True:
            document = await self._aliases.find_one({"_id": name})
            before = _alias(name, document)
            after = change(before)
            if after == before or await self._write(after, document):
                return after

    async def _write(self, alias: Alias, over: Document | None) -> bool:
        """False: it was changed meanwhile."""
        content = alias.model_dump(mode="json", exclude={"name"})
        if over is None:
            try:
                await self._aliases.insert_one({"_id": alias.name, "revision": 1, "content": content})
            except DuplicateKeyError:
                return False
            return True
        fence = {"_id": alias.name, "revision": over["revision"]}
        result = await self._aliases.update_one(fence, {"$set": {"content": content}, "$inc": {"revision": 1}})
        return result.matched_count == 1

    async def _put(self, manifest: AdapterManifest, folder: AdapterFolder) -> dict[str, list[str]]:
        """The blobs of each file, all kept for what comes next."""
        while True:
            pieces: dict[str, list[str]] = {
                file.name: [await self._blobs.put(piece) async for piece in _pieces(folder, file)]
                for file in manifest.files
            }
            ids = unique(blob for blobs in pieces.values() for blob in blobs)
            if await self._blobs.leftovers.keep({"_id": {"$in": ids}}) == len(ids):
                return pieces  # else the first went before the last had come


async def _pieces(folder: AdapterFolder, file: AdapterFile) -> AsyncIterator[bytes]:
    """Raises AdapterFileChanged at the end if it is not the file that was checked."""
    digest, left = hashlib.sha256(), file.size_bytes
    with folder.opened(file.name, file.size_bytes) as (opened, _):
        while left and (piece := await asyncio.to_thread(opened.read, min(left, _PIECE_BYTES))):
            await asyncio.to_thread(digest.update, piece)
            left -= len(piece)
            yield piece
    if digest.hexdigest() != file.sha256:
        reason = f"{file.name} was changed after it had been checked"
        raise refusal(AdapterFileChanged, folder.adapter, file.name, digest.hexdigest(), reason)


def _version(document: Document) -> AdapterVersion:
    return AdapterVersion(
        id=document["_id"],
        digest=document["digest"],
        manifest=read_manifest(document["manifest"].encode(), document["digest"]),
        pieces={piece["file"]: tuple(piece["blobs"]) for piece in document["pieces"]},
        pushed_at=moment(document["pushed_at"]),
        pushed_by=document["pushed_by"],
    )


def _alias(name: str, document: Document | None) -> Alias:
    return Alias(name=name) if document is None else Alias.model_validate({"name": name} | document["content"])
