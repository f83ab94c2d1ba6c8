"""/.well-known/security.txt (RFC 9116): whom to tell about a hole. Not there without a contact in the settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from quart import Blueprint, Response

from shared.errors import NotFound

_PATH = "/.well-known/security.txt"
_GOOD_FOR = timedelta(days=180)


def security_txt_blueprint(contact: str, public_url: str) -> Blueprint:
    """`public_url`: where the pages are for the world; "" if that is not known."""
    blueprint = Blueprint("security_txt", __name__)

    @blueprint.get(_PATH)
    async def security_txt() -> Response:
        if not contact:
            raise NotFound
        until = (datetime.now(UTC) + _GOOD_FOR).strftime("%Y-%m-%dT00:00:00Z")
        lines = [f"Contact: {contact}", f"Expires: {until}", "Preferred-Languages: ko, en"]
        if public_url:
            lines.append(f"Canonical: {public_url}{_PATH}")
        return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")

    return blueprint
