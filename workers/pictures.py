"""Pictures of prompts: fetched from the store by their sha256 and made ready once, while they are asked for again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.chat import PictureRef
from shared.errors import PictureGone, PicturesUnsupported
from shared.metrics import PICTURES_LOOKED
from shared.store.blobs import Blobs
from workers.engine.base import Looked
from workers.engine.facts import ModelFacts, PictureFacts
from workers.patience import patiently

Look = Callable[[str, bytes], Awaitable[Looked]]


@dataclass(frozen=True, slots=True)
class Eyes:
    """Of a model that is shown pictures."""

    facts: PictureFacts
    token: str  # how the tokenizer spells the placeholder
    look: Look  # by sha256 and bytes; raises PictureGone


def eyes_of(facts: ModelFacts, tokenizer: Any, look: Look) -> Eyes | None:
    """Of a model whose directory says how pictures are prepared."""
    pictures = facts.pictures
    return Eyes(pictures, str(tokenizer.convert_ids_to_tokens(pictures.placeholder)), look) if pictures else None


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """One that stands in a prompt."""

    ref: PictureRef
    looked: Looked


class PictureCache:
    """The last used pictures, up to `most_bytes` of pixels. Belongs to one event loop."""

    def __init__(self, blobs: Blobs, eyes: Eyes | None, most_bytes: int) -> None:
        self._blobs = blobs
        self._eyes = eyes
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Looked] = OrderedDict()  # by sha256, longest unused first
        self._bytes = 0
        self._coming: dict[str, asyncio.Task[Looked]] = {}

    async def shown(self, refs: Sequence[PictureRef]) -> list[ShownPicture]:
        """In this order. Waits for a store that is away. Raises PictureGone, PicturesUnsupported."""
        looked = await asyncio.gather(*(self._looked(ref.sha256) for ref in refs))
        return [ShownPicture(ref, each) for ref, each in zip(refs, looked, strict=True)]

    def close(self) -> None:
        """Nobody waits any more."""
        for coming in self._coming.values():
            coming.cancel()

    async def _looked(self, sha256: str) -> Looked:
        if (kept := self._kept.get(sha256)) is not None:
            self._kept.move_to_end(sha256)
            return kept
        coming = self._coming.get(sha256)
        if coming is None:
            coming = self._coming[sha256] = asyncio.create_task(self._fetched(sha256))
            coming.add_done_callback(lambda done: self._arrived(sha256, done))
        return await asyncio.shield(coming)  # another answer may wait for it too

    async def _fetched(self, sha256: str) -> Looked:
        if self._eyes is None:
            raise PicturesUnsupported
        with PICTURES_LOOKED.time():
            data = await patiently(lambda: self._blobs.get(sha256))
            if data is None:
                raise PictureGone
            return await self._eyes.look(sha256, data)

    def _arrived(self, sha256: str, done: asyncio.Task[Looked]) -> None:
        del self._coming[sha256]
        if done.cancelled() or done.exception() is not None:  # told to whoever waits
            return
        self._kept[sha256] = done.result()
        self._bytes += _size(done.result())
        while self._bytes > self._most_bytes:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(looked: Looked) -> int:
    return looked.picture.pixels.nbytes
