"""POST /first-text: what a browser measured between sending a question and seeing the first text of its answer."""

from __future__ import annotations

import math
import time

from quart import Blueprint
from quart.typing import ResponseReturnValue

from shared import tracing
from shared.errors import InputError
from shared.ids import is_id
from shared.metrics import BROWSER_TIME_TO_FIRST_TOKEN
from shared.store import Store
from web.visitor import Visitors

_LONGEST_S = 2560.0  # the histogram's last bucket; what is longer is a laptop that slept


def first_text_blueprint(store: Store, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("first_text", __name__)

    @blueprint.post("/first-text")
    async def observe() -> ResponseReturnValue:
        """`seconds` of somebody who is logged in, for their own answer `generation_id`.

        Raises LoginRequired, CsrfFailed, InputError.
        """
        user = visitors.require_user()
        form = await visitors.checked_form()
        seconds = _seconds(form["seconds"])
        BROWSER_TIME_TO_FIRST_TOKEN.observe(seconds)
        if tracing.is_on():
            await trace(user.id, form["generation_id"], seconds)
        return "", 204

    async def trace(user_id: str, generation_id: str, seconds: float) -> None:
        """From the click, as this host's clock has it, however long the way of the beacon was: at the latest when the
        question came. Nothing for an answer that is not theirs."""
        arrived = time.time()
        asked = await store.generations.get(generation_id) if is_id(generation_id) else None
        if asked is not None and asked.user_id == user_id:
            began = min(arrived - seconds, asked.created_at.timestamp())
            tracing.record("browser: click to first text", generation_id, began, began + seconds, kind="client")

    return blueprint


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise InputError from error
    if not (math.isfinite(seconds) and 0 <= seconds <= _LONGEST_S):
        raise InputError
    return seconds
