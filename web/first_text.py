"""POST /first-text: what a browser measured between sending a question and seeing the first text of its answer."""

from __future__ import annotations

import math

from quart import Blueprint
from quart.typing import ResponseReturnValue

from shared.errors import InputError
from shared.metrics import BROWSER_TIME_TO_FIRST_TOKEN
from web.visitor import Visitors

_LONGEST_S = 2560.0  # the histogram's last bucket; what is longer is a laptop that slept


def first_text_blueprint(visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("first_text", __name__)

    @blueprint.post("/first-text")
    async def observe() -> ResponseReturnValue:
        """`seconds` of somebody who is logged in. Raises LoginRequired, CsrfFailed, InputError."""
        visitors.require_user()
        form = await visitors.checked_form()
        BROWSER_TIME_TO_FIRST_TOKEN.observe(_seconds(form["seconds"]))
        return "", 204

    return blueprint


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise InputError from error
    if not (math.isfinite(seconds) and 0 <= seconds <= _LONGEST_S):
        raise InputError
    return seconds
