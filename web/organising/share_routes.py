"""Links to snapshots: made and taken back under /library, opened by anybody under /shared."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from markupsafe import Markup
from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.chat import PictureRef
from shared.errors import InputError, NotFound, NunmalError
from shared.store.shares import SharedTurn, Snapshot
from web.auth.clients import Clients
from web.auth.throttling import Throttling
from web.chat.markdown import LONG, render
from web.chat.service import ChatService
from web.errors import page_after
from web.organising.sharing import Sharing
from web.pictures.clean import JPEG, PNG, kind_of
from web.pictures.views import PictureView
from web.visitor import Visitors

_GUESSES = "shared"


@dataclass(frozen=True, slots=True)
class SharedTurnView:
    question: str
    html: Markup
    pictures: list[PictureView]


def share_blueprint(
    sharing: Sharing, chat: ChatService, throttling: Throttling, visitors: Visitors, clients: Clients, public_url: str
) -> Blueprint:
    """`public_url`: what links begin with; empty: as the page was asked for."""
    blueprint = Blueprint("shares", __name__)

    async def conversation_page(conversation_id: str, link: str = "", error: NunmalError | None = None) -> Response:
        """What can be done with one conversation; with a link just made, or why there is none."""
        user, words = visitors.require_user(), visitors.current().words
        opened = await chat.open(user, conversation_id)
        links = [link for link in await sharing.links(user) if link.conversation_id == conversation_id]
        body = await render_template(
            "conversation.html",
            conversation=opened.conversation,
            links=links,
            link=link,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    @blueprint.get("/library/<conversation_id>")
    async def conversation(conversation_id: str) -> ResponseReturnValue:
        return await conversation_page(conversation_id)

    @blueprint.post("/library/<conversation_id>/share")
    async def share(conversation_id: str) -> ResponseReturnValue:
        await visitors.checked_form()
        try:
            token = await sharing.share(visitors.require_user(), conversation_id)
        except InputError as error:
            return await conversation_page(conversation_id, error=error)
        return await conversation_page(conversation_id, f"{public_url or request.host_url.rstrip('/')}/shared/{token}")

    @blueprint.get("/library/links")
    async def links() -> ResponseReturnValue:
        return await render_template("links.html", links=await sharing.links(visitors.require_user()))

    @blueprint.post("/library/links/<share_id>/revoke")
    async def revoke(share_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        await sharing.revoke(user, share_id)
        return redirect("/library/links", 303)

    async def count_guess(token: str) -> None:
        """Who has a link is never kept waiting; who tries many has to. Raises TooManyTries."""
        await throttling.begin(_GUESSES, token, clients.current().address)

    @blueprint.get("/shared/<token>")
    async def shared(token: str) -> ResponseReturnValue:
        try:
            snapshot = await sharing.open(token)
        except NotFound:
            await count_guess(token)
            raise
        body = await render_template("shared.html", snapshot=snapshot, turns=await _views(snapshot, token))
        return _unlisted(Response(body, content_type="text/html; charset=utf-8"))

    @blueprint.get("/shared/<token>/pictures/<picture_id>")
    async def picture(token: str, picture_id: str) -> ResponseReturnValue:
        try:
            data = await sharing.picture(token, picture_id)
        except NotFound:
            await count_guess(token)
            raise
        return _unlisted(Response(data, content_type=PNG if kind_of(data) == "PNG" else JPEG))

    return blueprint


def _unlisted(response: Response) -> Response:
    """Whoever has the link reads it; it is told to no search engine and to no site that a reader goes on to."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


async def _views(snapshot: Snapshot, token: str) -> list[SharedTurnView]:
    def views() -> list[SharedTurnView]:
        return [_view(turn, token) for turn in snapshot.turns]

    is_long = sum(len(turn.answer) for turn in snapshot.turns) > LONG
    return await asyncio.to_thread(views) if is_long else views()


def _view(turn: SharedTurn, token: str) -> SharedTurnView:
    html = Markup(render(turn.answer))  # noqa: S704  # sanitised by render
    return SharedTurnView(turn.question, html, [_picture(picture, token) for picture in turn.pictures])


def _picture(picture: PictureRef, token: str) -> PictureView:
    url = f"/shared/{token}/pictures/{picture.id}"
    return PictureView(picture.id, picture.width, picture.height, url, url, picture.alt)
