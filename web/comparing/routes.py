"""The pages under /compare: one question, two answers whose versions are told once something was chosen."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.comparison_errors import ChoiceMade
from shared.comparisons import Choice
from shared.errors import InputError, LimitReached, NotFound, NunmalError, QueueFull, TooBusy
from shared.store import Store
from web.adapters.trials import MOST_CHARACTERS
from web.chat.hub import Hub
from web.chat.open_streams import OpenStreams
from web.chat.stream import StreamTimes, answer_events, parse_position
from web.chat.transcript import Transcripts
from web.comparing.service import Compared, Comparing
from web.errors import page_after
from web.forms import query_value
from web.visitor import Visitors

PATH = "/compare"
CHOICE_WORDS = {
    Choice.LEFT: "compare.left_better",
    Choice.RIGHT: "compare.right_better",
    Choice.SAME: "compare.same",
    Choice.BAD: "compare.bad",
}
_REFUSALS = (InputError, LimitReached, QueueFull, TooBusy)
_MOST_LISTED = 50


def compare_blueprint(
    comparing: Comparing,
    store: Store,
    transcripts: Transcripts,
    hub: Hub,
    visitors: Visitors,
    times: StreamTimes,
    open_streams: OpenStreams,
) -> Blueprint:
    blueprint = Blueprint("compare", __name__, url_prefix=PATH)

    async def front(question: str = "", error: NunmalError | None = None) -> Response:
        user, words = visitors.require_user(), visitors.current().words
        body = await render_template(
            "compare.html",
            is_offered=await store.pairings.is_any_offered(),
            mine=(await store.comparisons.of_user(user.id))[:_MOST_LISTED],
            choice_words=CHOICE_WORDS,
            question=question,
            most_characters=MOST_CHARACTERS,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    async def shown(compared: Compared, error: NunmalError | None = None) -> Response:
        words = visitors.current().words
        body = await render_template(
            "comparison.html",
            comparison=compared.comparison,
            turns=await transcripts.of(compared.turns, words),
            can_be_chosen=compared.can_be_chosen,
            is_over=all(turn.state.is_final for turn in compared.turns),
            choice_words=CHOICE_WORDS,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    @blueprint.get("")
    async def ask() -> ResponseReturnValue:
        visitors.require_user()
        return await front()

    @blueprint.post("")
    async def begin() -> ResponseReturnValue:
        user, form = visitors.require_user(), await visitors.checked_form()
        try:
            comparison_id = await comparing.begin(user, form["question"])
        except _REFUSALS as error:
            return await front(form["question"], error)
        return redirect(f"{PATH}/{comparison_id}", 303)

    @blueprint.get("/<comparison_id>")
    async def look(comparison_id: str) -> ResponseReturnValue:
        return await shown(await comparing.get(visitors.require_user(), comparison_id))

    @blueprint.post("/<comparison_id>")
    async def choose(comparison_id: str) -> ResponseReturnValue:
        user, form = visitors.require_user(), await visitors.checked_form()
        if form["choice"] not in set(Choice):
            raise InputError
        try:
            await comparing.choose(user, comparison_id, Choice(form["choice"]))
        except ChoiceMade:
            pass  # the page says what was chosen
        except InputError as error:
            return await shown(await comparing.get(user, comparison_id), error)
        return redirect(f"{PATH}/{comparison_id}", 303)

    @blueprint.post("/<comparison_id>/delete")
    async def delete(comparison_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        await comparing.remove(user, comparison_id)
        return redirect(PATH, 303)

    @blueprint.get("/<comparison_id>/stream/<generation_id>")
    async def answer(comparison_id: str, generation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        compared = await comparing.get(user, comparison_id)
        if generation_id not in {turn.id for turn in compared.turns}:
            raise NotFound
        position = parse_position(request.headers.get("Last-Event-ID") or query_value(request, "from"))
        events = answer_events(hub, generation_id, position, visitors.current().words, times)
        return await open_streams.response(user.id, events)

    return blueprint
