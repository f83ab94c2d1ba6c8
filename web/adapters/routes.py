"""The pages under /adapters, for researchers and operators: versions, roll-outs as they go, and trying one."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.adapters.folder import FILES
from shared.adapters.refusals import AdapterFileMissing, refusal
from shared.adapters.versions import differences
from shared.chat import AccountRole, Generation, User
from shared.errors import (
    AdapterBusy,
    AdapterRefused,
    CanaryShareInvalid,
    InputError,
    LimitReached,
    NotFound,
    NunmalError,
    QueueFull,
    TooBusy,
)
from shared.gatekeeping import LEAST_REASON_CHARACTERS, MOST_REASON_CHARACTERS, Gatekeeper
from shared.publishing import Publishing
from shared.store import Store
from web.adapters.trials import MOST_CHARACTERS, Trials
from web.adapters.views import GATE_WORDS, OUTCOME_WORDS, STATE_WORDS, USE_WORDS, adapter_views
from web.bodies import LargeBodies
from web.chat.hub import Hub
from web.chat.open_streams import OpenStreams
from web.chat.stream import StreamTimes, answer_events, parse_position
from web.chat.transcript import Transcripts
from web.errors import page_after
from web.forms import Form, query_value
from web.visitor import Visitors

PATH = "/adapters"
_REFUSALS = (InputError, AdapterRefused, AdapterBusy, LimitReached, QueueFull, TooBusy)


def adapter_pages(
    store: Store,
    publishing: Publishing,
    gate: Gatekeeper,
    trials: Trials,
    transcripts: Transcripts,
    hub: Hub,
    visitors: Visitors,
    times: StreamTimes,
    open_streams: OpenStreams,
    large_bodies: LargeBodies,
    stale_after: timedelta,
) -> Blueprint:
    blueprint = Blueprint("adapters", __name__, url_prefix=PATH)

    def researcher() -> User:
        return visitors.require_role(AccountRole.RESEARCHER, AccountRole.OPERATOR)

    async def page(error: NunmalError | None = None, name: str = "") -> Response:
        return await answered(
            "adapters.html",
            error,
            adapters=await adapter_views(store, stale_after),
            files=FILES,
            name=name,
            state_words=STATE_WORDS,
            outcome_words=OUTCOME_WORDS,
            use_words=USE_WORDS,
            gate_words=GATE_WORDS,
            least_reason=LEAST_REASON_CHARACTERS,
            most_reason=MOST_REASON_CHARACTERS,
        )

    async def answered(template: str, error: NunmalError | None, **values: object) -> Response:
        """The page; with a sentence, and its status, after what was refused."""
        words = visitors.current().words
        body = await render_template(template, error=words.explain(error) if error else "", words=words, **values)
        return page_after(body, error)

    @blueprint.get("")
    async def show() -> ResponseReturnValue:
        researcher()
        return await page()

    @blueprint.post("")
    async def push() -> ResponseReturnValue:
        user = researcher()
        with large_bodies.reading(request, user.id):
            form = await visitors.checked_form(is_long=True, has_files=True)
            try:
                await pushed(user, form)
            except _REFUSALS as error:
                return await page(error, form["name"])
        return redirect(PATH, 303)

    async def pushed(user: User, form: Form) -> None:
        """Raises AdapterRefused and what Publishing.push raises."""
        with tempfile.TemporaryDirectory(prefix="nunmal-push-") as directory:
            for file in FILES:
                sent = form.files(file)
                if not sent:
                    raise refusal(AdapterFileMissing, form["name"], file, "", f"no {file}")
                await asyncio.to_thread((Path(directory) / file).write_bytes, sent[0])
            await publishing.push(form["name"], Path(directory), user.id)

    @blueprint.post("/<target>/<action>")
    async def change(target: str, action: str) -> ResponseReturnValue:
        user = researcher()
        form = await visitors.checked_form()
        try:
            await changed(user, target, action, form)
        except _REFUSALS as error:
            return await page(error)
        return redirect(PATH, 303)

    async def changed(user: User, target: str, action: str, form: Form) -> None:
        """Raises what Publishing raises, and NotFound."""
        match action:
            case "activate":
                await gate.begin(target, user.id)
            case "override" if user.role is AccountRole.OPERATOR:
                await gate.override(target, user.id, form["reason"])
            case "canary":
                await publishing.canary(target, _share(form["percent"]), user.id)
            case "retire":
                await publishing.retire(target, user.id)
            case "rollback":
                await publishing.roll_back(target, user.id)
            case _:
                raise NotFound

    @blueprint.get("/<one>/diff/<other>")
    async def diff(one: str, other: str) -> ResponseReturnValue:
        researcher()
        manifests = [(await store.adapters.version(each)).manifest for each in (one, other)]
        return await answered("adapter_diff.html", None, one=one, other=other, differences=[*differences(*manifests)])

    @blueprint.get("/<version>/try")
    async def ask(version: str) -> ResponseReturnValue:
        researcher()
        await store.adapters.version(version)
        return await trial_page(version, "", "", [])

    @blueprint.post("/<version>/try")
    async def begin(version: str) -> ResponseReturnValue:
        user = researcher()
        form = await visitors.checked_form()
        try:
            trial_id = await trials.begin(user, version, form["question"], form["instruction"])
        except _REFUSALS as error:
            return await trial_page(version, form["question"], form["instruction"], [], error)
        return redirect(f"{PATH}/trials/{trial_id}", 303)

    @blueprint.get("/trials/<trial_id>")
    async def trial(trial_id: str) -> ResponseReturnValue:
        found = await trials.get(researcher(), trial_id)
        return await trial_page(found.version, found.question, found.instruction, found.turns)

    @blueprint.get("/trials/<trial_id>/stream/<generation_id>")
    async def answer(trial_id: str, generation_id: str) -> ResponseReturnValue:
        user = researcher()
        found = await trials.get(user, trial_id)
        if generation_id not in {turn.id for turn in found.turns}:
            raise NotFound
        position = parse_position(request.headers.get("Last-Event-ID") or query_value(request, "from"))
        events = answer_events(hub, generation_id, position, visitors.current().words, times)
        return await open_streams.response(user.id, events)

    async def trial_page(
        version: str, question: str, instruction: str, turns: list[Generation], error: NunmalError | None = None
    ) -> Response:
        return await answered(
            "adapter_trial.html",
            error,
            version=version,
            question=question,
            instruction=instruction,
            trial_id=turns[0].conversation_id if turns else "",
            turns=await transcripts.of(turns, visitors.current().words),
            most_characters=MOST_CHARACTERS,
        )

    return blueprint


def _share(percent: str) -> float:
    """Raises CanaryShareInvalid."""
    try:
        share = float(percent) / 100
    except ValueError as error:
        raise CanaryShareInvalid from error
    if not 0 <= share <= 1:
        raise CanaryShareInvalid
    return share
