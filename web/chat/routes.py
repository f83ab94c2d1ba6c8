"""The pages under /chat: they read the form, call the service, and answer with a page, a redirect or a stream."""

from __future__ import annotations

from quart import Blueprint, current_app, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.chat import Generation
from shared.errors import Busy, InputError, LimitReached, PicturesUnsupported, QueueFull, TooBusy
from shared.evidence import Evidence
from web.bodies import LargeBodies
from web.chat.asking import Chosen
from web.chat.evidence import pictures_of, view_of_evidence
from web.chat.hub import Hub
from web.chat.open_streams import OpenStreams
from web.chat.page import ChatPage, Typed
from web.chat.quoting import quote
from web.chat.service import ChatService
from web.chat.settings_form import posted_fields, settings_from
from web.chat.stream import StreamTimes, answer_events, parse_position
from web.forms import query_value
from web.pictures.service import PictureService
from web.visitor import Visitors


def chat_blueprint(
    service: ChatService,
    chat_page: ChatPage,
    hub: Hub,
    visitors: Visitors,
    times: StreamTimes,
    open_streams: OpenStreams,
    pictures: PictureService,
    large_bodies: LargeBodies,
) -> Blueprint:
    blueprint = Blueprint("chat", __name__, url_prefix="/chat")

    async def ask(conversation_id: str | None) -> ResponseReturnValue:
        user = visitors.require_user()
        with large_bodies.reading(request, user.id):
            form = await visitors.checked_form(is_long=True, has_files=True)
            opened = await service.open(user, conversation_id) if conversation_id else None
            message, named, files = form["message"], form.every("picture"), form.files("pictures")
            before, fields = Chosen.of(opened.conversation if opened else None), posted_fields(form)
            try:
                chosen = Chosen(
                    form.get("adapter", before.adapter), settings_from(fields) if fields else before.settings
                )
                pictures.require_few(len(named) + len(files))
                named += [picture.id for picture in await pictures.upload(user.id, files)]
                alts = {each: form[f"alt.{each}"] for each in named if f"alt.{each}" in form}
                shown = await pictures.taken(user.id, named, alts)
                if shown and not message.strip():
                    message = visitors.current().words("chat.picture_question")
                generation = await service.ask(
                    *(user, conversation_id, form["generation_id"], message, shown, chosen),
                    may_wait=form["later"] == "1",
                )
            except (InputError, Busy, LimitReached, QueueFull, PicturesUnsupported, TooBusy) as error:
                kept = await pictures.kept(user.id, named)
                typed = Typed(form["message"], kept, form.get("adapter"), fields)
                return await chat_page.response(user, opened, typed, error)
        return redirect(f"/chat/{generation.conversation_id}", 303)

    @blueprint.get("")
    async def new() -> ResponseReturnValue:
        return await chat_page.response(visitors.require_user(), None)

    @blueprint.post("")
    async def ask_first() -> ResponseReturnValue:
        return await ask(None)

    @blueprint.post("/new")
    async def begin() -> ResponseReturnValue:
        """For the button: a form that gets would leave a question mark in the address."""
        visitors.require_user()
        await visitors.checked_form()
        return redirect("/chat", 303)

    @blueprint.get("/<conversation_id>")
    async def conversation(conversation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        opened = await service.open(user, conversation_id)
        quoted, shown = query_value(request, "quote"), query_value(request, "turn")
        typed = Typed(quote(opened.turn(quoted).answer) if quoted else "")
        return await chat_page.response(user, opened, typed, turn_id=shown or quoted)

    @blueprint.post("/<conversation_id>")
    async def ask_next(conversation_id: str) -> ResponseReturnValue:
        return await ask(conversation_id)

    @blueprint.post("/<conversation_id>/stop")
    async def stop(conversation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        await service.stop(user, conversation_id)
        return redirect(f"/chat/{conversation_id}", 303)

    @blueprint.post("/<conversation_id>/rename")
    async def rename(conversation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        form = await visitors.checked_form()
        await service.rename(user, conversation_id, form["title"])
        return redirect(f"/chat/{conversation_id}", 303)

    @blueprint.post("/<conversation_id>/settings/reset")
    async def reset_settings(conversation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        await service.reset_settings(user, conversation_id)
        return redirect(f"/chat/{conversation_id}", 303)

    @blueprint.get("/<conversation_id>/delete")
    async def confirm_delete(conversation_id: str) -> ResponseReturnValue:
        opened = await service.open(visitors.require_user(), conversation_id)
        return await render_template("delete.html", conversation=opened.conversation)

    @blueprint.post("/<conversation_id>/delete")
    async def delete(conversation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        await service.delete(user, conversation_id)
        return redirect("/chat", 303)

    @blueprint.get("/<conversation_id>/stream/<generation_id>")
    async def answer(conversation_id: str, generation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await service.watchable(user, conversation_id, generation_id)
        position = parse_position(request.headers.get("Last-Event-ID") or query_value(request, "from"))
        words = visitors.current().words
        template = current_app.jinja_env.get_template("_evidence.html")

        async def draw(turn: Generation, evidence: Evidence) -> str:
            """As the transcript shows it. It runs after this request, without its context."""
            pictures = pictures_of(await service.branch(turn))
            return await template.render_async(t=words, evidence=view_of_evidence(evidence, pictures))

        events = answer_events(hub, generation_id, position, words, times, draw)
        return await open_streams.response(user.id, events)

    return blueprint
