"""The page /ops: what is going on, and what an operator can do about it, for those without Grafana."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, redirect, render_template
from quart.typing import ResponseReturnValue

from shared.chat import User
from web.operators.access import Access
from web.operators.console import Console
from web.operators.gate import operators_only
from web.operators.sparkline import HEIGHT, WIDTH
from web.visitor import Visitors


def console_blueprint(console: Console, access: Access, visitors: Visitors, *, can_drain: bool) -> Blueprint:
    """`can_drain`: workers are processes of their own."""
    blueprint = Blueprint("console", __name__, url_prefix="/ops")
    operator = operators_only(blueprint, access, visitors)

    async def values() -> dict[str, object]:
        return {
            "panel": await console.look(),
            "can_drain": can_drain,
            "spark_width": WIDTH,
            "spark_height": HEIGHT,
        }

    @blueprint.get("")
    async def show() -> ResponseReturnValue:
        await operator()
        return await render_template("ops.html", **await values(), dead=await console.dead())

    @blueprint.get("/live")
    async def live() -> ResponseReturnValue:
        """The part of the page that changes by itself."""
        await operator()
        return await render_template("_ops_live.html", **await values())

    async def done(act: Callable[[User, str], Awaitable[None]], target: str) -> ResponseReturnValue:
        user = await operator()
        await visitors.checked_form()
        await act(user, target)
        return redirect("/ops", 303)

    @blueprint.post("/workers/<worker_id>/drain")
    async def drain(worker_id: str) -> ResponseReturnValue:
        return await done(console.drain, worker_id)

    @blueprint.post("/dead/<generation_id>/replay")
    async def replay(generation_id: str) -> ResponseReturnValue:
        return await done(console.replay, generation_id)

    @blueprint.post("/dead/<generation_id>/drop")
    async def drop(generation_id: str) -> ResponseReturnValue:
        return await done(console.drop, generation_id)

    return blueprint
