"""What can be done with one turn of a conversation: forms under /chat/<conversation>/turns/<turn>, so that all of it
works without a script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, Response, redirect, render_template
from quart.typing import ResponseReturnValue

from shared.chat import Generation, User
from shared.errors import Busy, InputError, LimitReached, QueueFull
from web.chat.branches import Branches
from web.chat.page import ChatPage
from web.chat.service import ChatService
from web.chat.voting import Voting
from web.errors import page_after
from web.visitor import Visitors

_REFUSALS = (InputError, Busy, LimitReached, QueueFull)


def turns_blueprint(
    branches: Branches, voting: Voting, service: ChatService, chat_page: ChatPage, visitors: Visitors
) -> Blueprint:
    blueprint = Blueprint("turns", __name__, url_prefix="/chat/<conversation_id>/turns/<turn_id>")

    async def asked(
        conversation_id: str, turn_id: str, ask: Callable[[User, str, str], Awaitable[Generation]]
    ) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        try:
            turn = await ask(user, conversation_id, turn_id)
        except _REFUSALS as error:
            return await chat_page.response(user, await service.open(user, conversation_id), error=error)
        return redirect(f"/chat/{conversation_id}#turn-{turn.id}", 303)

    @blueprint.post("/regenerate")
    async def regenerate(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        return await asked(conversation_id, turn_id, branches.regenerate)

    @blueprint.post("/continue")
    async def go_on(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        return await asked(conversation_id, turn_id, branches.go_on)

    @blueprint.get("/edit")
    async def edit_page(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        opened = await service.open(visitors.require_user(), conversation_id)
        turn = opened.turn(turn_id)
        return await render_template("edit.html", conversation=opened.conversation, turn=turn, draft=turn.question)

    @blueprint.post("/edit")
    async def edit(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        form = await visitors.checked_form(is_long=True)
        try:
            turn = await branches.edit(user, conversation_id, turn_id, form["message"])
        except _REFUSALS as error:
            opened = await service.open(user, conversation_id)
            body = await render_template(
                "edit.html",
                conversation=opened.conversation,
                turn=opened.turn(turn_id),
                draft=form["message"],
                error=visitors.current().words.explain(error),
            )
            return page_after(body, error)
        return redirect(f"/chat/{conversation_id}#turn-{turn.id}", 303)

    @blueprint.post("/show")
    async def show(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        await branches.show(user, conversation_id, turn_id)
        return _to(conversation_id, turn_id)

    @blueprint.post("/pin")
    async def pin(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        form = await visitors.checked_form()
        try:
            await branches.pin(user, conversation_id, turn_id, is_pinned=form["pinned"] == "1")
        except InputError as error:
            return await chat_page.response(user, await service.open(user, conversation_id), error=error)
        return _to(conversation_id, turn_id)

    @blueprint.post("/vote/<any(up, down):value>")
    async def vote(conversation_id: str, turn_id: str, value: str) -> ResponseReturnValue:
        """With `on=1` a vote, and with its reasons where they are there; else it is taken back."""
        user = visitors.require_user()
        form = await visitors.checked_form()
        try:
            if form["on"] == "1":
                await voting.vote(user, conversation_id, turn_id, value, form.every("reason"), form["words"])
            else:
                await voting.take_back(user, conversation_id, turn_id)
        except InputError as error:
            return await chat_page.response(user, await service.open(user, conversation_id), error=error)
        return _to(conversation_id, turn_id)

    @blueprint.post("/take-back")
    async def take_back(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        try:
            await branches.take_back(user, conversation_id, turn_id)
        except _REFUSALS as error:
            return await chat_page.response(user, await service.open(user, conversation_id), error=error)
        return redirect(f"/chat/{conversation_id}", 303)

    @blueprint.get("/answer")
    async def answer(conversation_id: str, turn_id: str) -> ResponseReturnValue:
        """Its Markdown, as the model wrote it."""
        opened = await service.open(visitors.require_user(), conversation_id)
        return Response(opened.turn(turn_id).answer, content_type="text/plain; charset=utf-8")

    return blueprint


def _to(conversation_id: str, turn_id: str) -> ResponseReturnValue:
    """However long ago it was."""
    return redirect(f"/chat/{conversation_id}?turn={turn_id}#turn-{turn_id}", 303)
