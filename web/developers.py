"""GET /developers: the short way from an OpenAI client to this service."""

from __future__ import annotations

from quart import Blueprint, render_template, request
from quart.typing import ResponseReturnValue


def developers_blueprint() -> Blueprint:
    blueprint = Blueprint("developers", __name__)

    @blueprint.get("/developers")
    async def developers() -> ResponseReturnValue:
        return await render_template("developers.html", base_url=f"{request.host_url}v1")

    return blueprint
