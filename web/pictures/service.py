"""What people can do with pictures: upload, look, and name them in a message. No HTTP here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from shared.chat import PictureRef
from shared.errors import NotFound, NunmalError, PicturesFull, PictureTooLarge, PictureUnknown, TooManyPictures
from shared.ids import is_id
from shared.metrics import PICTURE_CLEANING, PICTURES
from shared.settings import WebSettings
from shared.store import Store
from shared.store.pictures import Picture
from web.forms import tidy
from web.pictures.clean import CleanPicture
from web.pictures.cleaner import Cleaner

MOST_PER_MESSAGE = 4
MOST_ALT_CHARACTERS = 500

_MIB = 1 << 20


class PictureService:
    def __init__(self, store: Store, settings: WebSettings, require_eyes: Callable[[], Awaitable[None]]) -> None:
        """`require_eyes`: raises PicturesUnsupported if nobody would look."""
        self._store = store
        self._settings = settings
        self._require_eyes = require_eyes
        self._cleaner = Cleaner(
            most_pixels=settings.picture_max_megapixels * 1_000_000, longest_side=settings.picture_side
        )

    @property
    def most_mib(self) -> int:
        """Of one picture."""
        return self._settings.picture_max_mib

    async def close(self) -> None:
        await self._cleaner.close()

    async def upload(self, user_id: str, files: Sequence[bytes], alt: str = "") -> list[Picture]:
        """Keep all of them or none.

        Raises TooManyPictures, MessageInvalid (`alt`), and what `require_room`, `clean` and `keep` raise.
        """
        if not files:
            return []
        self.require_few(len(files))
        await self.require_room(user_id, len(files))
        alt = _tidy_alt(alt)
        return await self.keep(user_id, [await self.clean(user_id, data) for data in files], alt)

    async def require_room(self, user_id: str, count: int) -> None:
        """Before work is done for so many. Raises PicturesUnsupported, PicturesFull."""
        await self._require_eyes()
        await self._require_space(user_id, count, 0)

    async def clean(self, user_id: str, data: bytes) -> CleanPicture:
        """Raises PictureTooLarge, TooBusy, and what web.pictures.clean.clean raises."""
        limit = self._settings.picture_max_mib
        try:
            if len(data) > limit * _MIB:
                raise PictureTooLarge(limit=limit)
            with PICTURE_CLEANING.time():
                clean = await self._cleaner.clean(user_id, data)
        except NunmalError as error:
            PICTURES.labels(error.code).inc()
            raise
        PICTURES.labels("clean").inc()
        return clean

    async def keep(self, user_id: str, clean: Sequence[CleanPicture], alt: str = "") -> list[Picture]:
        """Raises PicturesFull."""
        await self._require_space(user_id, len(clean), sum(len(each.data) + len(each.thumbnail) for each in clean))
        return [
            await self._store.pictures.add(
                *(user_id, each.data, each.thumbnail),
                mime=each.mime,
                width=each.width,
                height=each.height,
                alt=alt,
            )
            for each in clean
        ]

    async def get(self, user_id: str, picture_id: str) -> Picture:
        """Raises NotFound, for a foreign one too."""
        picture = await self._store.pictures.get(picture_id, user_id) if is_id(picture_id) else None
        if picture is None:
            raise NotFound
        return picture

    async def data(self, sha256: str) -> bytes:
        """Raises NotFound."""
        data = await self._store.blobs.get(sha256)
        if data is None:
            raise NotFound
        return data

    async def taken(self, user_id: str, picture_ids: Sequence[str], alts: Mapping[str, str]) -> tuple[PictureRef, ...]:
        """For a message that is about to be written. `alts`: what its sender calls some of them now, by id.

        Raises PicturesUnsupported, TooManyPictures, PictureUnknown, MessageInvalid (`alts`).
        """
        if not picture_ids:
            return ()
        await self._require_eyes()
        self.require_few(len(picture_ids))
        if not all(map(is_id, picture_ids)) or len(set(picture_ids)) < len(picture_ids):
            raise PictureUnknown
        taken = await self._store.pictures.take(picture_ids, user_id)
        if taken is None:
            raise PictureUnknown
        return tuple([await self._described(picture, alts.get(picture.id)) for picture in taken])

    async def kept(self, user_id: str, picture_ids: Sequence[str]) -> list[PictureRef]:
        """Those of them that are this person's, for a message that has to be sent again."""
        asked = [picture_id for picture_id in dict.fromkeys(picture_ids) if is_id(picture_id)][:MOST_PER_MESSAGE]
        found = await asyncio.gather(*(self._store.pictures.get(picture_id, user_id) for picture_id in asked))
        return [picture.ref for picture in found if picture is not None]

    def require_few(self, count: int) -> None:
        """Of one message. Raises TooManyPictures."""
        if count > MOST_PER_MESSAGE:
            raise TooManyPictures(limit=MOST_PER_MESSAGE)

    async def _described(self, picture: Picture, alt: str | None) -> PictureRef:
        if alt is None or (alt := _tidy_alt(alt)) == picture.alt:
            return picture.ref
        await self._store.pictures.describe(picture.id, picture.user_id, alt)
        return replace(picture.ref, alt=alt)

    async def _require_space(self, user_id: str, count: int, size_bytes: int) -> None:
        most, most_mib = self._settings.pictures_per_user, self._settings.picture_space_mib
        used = await self._store.pictures.space(user_id, most)
        if used.count + count > most or used.size_bytes + size_bytes > most_mib * _MIB:
            raise PicturesFull(limit=most, limit_mib=most_mib)


def _tidy_alt(text: str) -> str:
    """Raises MessageInvalid."""
    return tidy(text, MOST_ALT_CHARACTERS)[:MOST_ALT_CHARACTERS].strip()
