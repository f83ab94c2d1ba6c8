"""GET /usage: what this person used and may use, so that a refusal surprises nobody."""

from __future__ import annotations

from quart import Blueprint, render_template
from quart.typing import ResponseReturnValue

from web.chat.limits import Limits
from web.visitor import Visitors


def usage_blueprint(limits: Limits, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("usage", __name__)

    @blueprint.get("/usage")
    async def usage() -> ResponseReturnValue:
        user = visitors.require_user()
        return await render_template("usage.html", allowances=await limits.of(user.id))

    return blueprint
