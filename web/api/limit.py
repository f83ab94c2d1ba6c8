"""`?limit=` of a list."""

from __future__ import annotations

from quart import Request

from web.api.problems import ParameterTooLarge, ParameterTooSmall, ParameterTypeWrong

_MOST = 100
_LISTED = 20


def asked_limit(request: Request) -> int:
    """Raises ParameterInvalid."""
    given = request.args.getlist("limit")
    if not given:
        return _LISTED
    text = given[0] if len(given) == 1 else ""
    if not (text.isascii() and text.isdigit()):
        raise ParameterTypeWrong(param="limit", expected="integer")
    if len(text) > len(str(_MOST)) or int(text) > _MOST:
        raise ParameterTooLarge(param="limit", limit=_MOST)
    if int(text) < 1:
        raise ParameterTooSmall(param="limit", limit=1)
    return int(text)
