"""The addresses under /chat/pictures: upload one, look at one's own.

Scripts ask for JSON and get every refusal as {code, message}; a plain form gets a page.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from shared.errors import NunmalError, PictureEmpty, PictureTooLarge
from web.bodies import LargeBodies
from web.errors import add_retry_after, status_of
from web.pictures.clean import JPEG
from web.pictures.service import PictureService
from web.pictures.views import view_of
from web.visitor import Visitors

UPLOADS = "/chat/pictures"

_ENDINGS = {JPEG: "jpg"}
_FOR_EVER = "private, max-age=31536000, immutable"


def pictures_blueprint(
    pictures: PictureService, visitors: Visitors, large_bodies: LargeBodies, *, most_mib: int
) -> Blueprint:
    """`most_mib`: of one picture."""
    blueprint = Blueprint("pictures", __name__, url_prefix=UPLOADS)

    async def uploaded() -> Response:
        user = visitors.require_user()
        with large_bodies.reading(request, user.id):
            try:
                form = await visitors.checked_form(is_long=True, has_files=True)
            except RequestEntityTooLarge as error:
                raise PictureTooLarge(limit=most_mib) from error
            files = form.files("picture")
            if not files:
                raise PictureEmpty
            (picture,) = await pictures.upload(user.id, files[:1], form["alt"])
        response = _json(asdict(view_of(picture.ref)), 201)
        response.headers["Location"] = f"{UPLOADS}/{picture.id}"
        return response

    @blueprint.post("")
    async def upload() -> ResponseReturnValue:
        if request.accept_mimetypes.best_match(["text/html", "application/json"]) != "application/json":
            return await uploaded()
        words = visitors.current().words
        try:
            return await uploaded()
        except NunmalError as error:
            response = _json({"code": error.code, "message": words.explain(error)}, status_of(error))
            add_retry_after(response, error)
            return response
        except RequestTimeout:
            return _json({"code": "timeout", "message": words("http.408")}, 408)

    @blueprint.get("/<picture_id>")
    async def picture(picture_id: str) -> ResponseReturnValue:
        found = await pictures.get(visitors.require_user().id, picture_id)
        return await _shown(pictures, found.sha256, found.mime, found.id)

    @blueprint.get("/<picture_id>/thumbnail")
    async def thumbnail(picture_id: str) -> ResponseReturnValue:
        found = await pictures.get(visitors.require_user().id, picture_id)
        return await _shown(pictures, found.thumbnail_sha256, JPEG, f"{found.id}-thumbnail")

    return blueprint


async def _shown(pictures: PictureService, sha256: str, mime: str, name: str) -> Response:
    response = Response(await pictures.data(sha256), content_type=mime)
    response.headers["Cache-Control"] = _FOR_EVER
    response.headers["Content-Disposition"] = f'inline; filename="{name}.{_ENDINGS.get(mime, "png")}"'
    return response


def _json(value: object, status: int) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), status=status, content_type="application/json")
