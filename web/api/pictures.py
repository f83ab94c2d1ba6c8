"""Pictures in the messages of a request: data URLs, cleaned and kept as if their owner had uploaded them."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from shared.chat import PictureRef
from shared.errors import AddressRefused, InputError, TooManyPictures
from web.api.problems import ParameterInvalid, ParameterUnsupported
from web.api.requests import ChatCompletionRequest, ImagePart, JobRequest
from web.pictures.clean import CleanPicture
from web.pictures.service import MOST_PER_MESSAGE, PictureService

MOST_PER_REQUEST = 16

Shown = dict[int, tuple[PictureRef, ...]]  # by the place of their message

_DATA_URL = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[\w.+-]+)*;base64,", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*(?:https?|ftp|file|blob):|\s*//", re.IGNORECASE)


async def keep_pictures(body: ChatCompletionRequest | JobRequest, user_id: str, pictures: PictureService) -> Shown:
    """All of them or none. Raises AddressRefused, ParameterInvalid, TooManyPictures, PicturesUnsupported, and what
    PictureService raises; facts: param (the part that is wrong)."""
    parts = list(_parts(body))
    if not parts:
        return {}
    sent = [(place, param, _decoded(part.image_url.url, param)) for place, param, part in parts]
    await pictures.require_room(user_id, len(sent))
    clean = [await _clean(user_id, data, param, pictures) for _, param, data in sent]
    kept = await pictures.keep(user_id, clean)
    shown: Shown = {}
    for (place, _, _), picture in zip(sent, kept, strict=True):
        shown[place] = (*shown.get(place, ()), picture.ref)
    return shown


def _parts(body: ChatCompletionRequest | JobRequest) -> Iterator[tuple[int, str, ImagePart]]:
    total = 0
    for place, message in enumerate(body.messages):
        images = message.images
        if len(images) > MOST_PER_MESSAGE:
            raise TooManyPictures(limit=MOST_PER_MESSAGE, param=f"messages[{place}].content")
        total += len(images)
        if total > MOST_PER_REQUEST:
            raise TooManyPictures(limit=MOST_PER_REQUEST, param="messages")
        for number, part in images:
            if message.role != "user":
                raise ParameterUnsupported(param=f"messages[{place}].content[{number}]")
            yield place, f"messages[{place}].content[{number}].image_url.url", part


def _decoded(url: str, param: str) -> bytes:
    if _ADDRESS.match(url):
        raise AddressRefused(param=param)
    head = _DATA_URL.match(url)
    if head is None:
        raise ParameterInvalid(param=param)
    try:
        return binascii.a2b_base64(url[head.end() :].encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ParameterInvalid(param=param) from error


async def _clean(user_id: str, data: bytes, param: str, pictures: PictureService) -> CleanPicture:
    try:
        return await pictures.clean(user_id, data)
    except InputError as error:
        raise type(error)("", **error.facts, param=param) from error
