"""The body of a request, read strictly: JSON in UTF-8, an object, of the shape its route expects."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json
from quart import Request

from web.api.fields import Body
from web.api.problems import BodyInvalid, ContentTypeUnknown, refusal_of

_JSON = "application/json"
_LONG_BYTES = 64 * 1024  # longer bodies are read in a thread

B = TypeVar("B", bound=Body)


async def read_body(request: Request, kind: type[B]) -> B:
    """Raises ContentTypeUnknown, BodyInvalid, ParameterInvalid, and RequestEntityTooLarge before anything is parsed."""
    if request.mimetype != _JSON:
        raise ContentTypeUnknown
    data = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    if len(data) > _LONG_BYTES:
        return await asyncio.to_thread(parse_body, data, kind)
    return parse_body(data, kind)


def parse_body(data: bytes, kind: type[B]) -> B:
    """Raises BodyInvalid or ParameterInvalid."""
    try:
        body = from_json(data, allow_inf_nan=False)
    except ValueError as error:  # also too deep, numbers too long, lone surrogates
        raise BodyInvalid from error
    if not isinstance(body, dict):
        raise BodyInvalid
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise refusal_of(error, body) from error
