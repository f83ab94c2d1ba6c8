"""The pages under /digests: send articles, watch them, read what was made of one, take it along, remove it."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import quote

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from shared.digest_errors import DigestTooLarge, TooManyArticles
from shared.digests import MOST_ARTICLES, ArticleInput, DigestJob
from shared.errors import InputError, NotFound, NunmalError
from web.bodies import LargeBodies
from web.digests.exporting import json_of, markdown_of
from web.digests.incoming import articles_in, is_json, of_article, of_file, of_json
from web.digests.service import DigestService
from web.digests.views import digest_view, digest_views, progress_of
from web.errors import page_after
from web.forms import Form, SentFile, query_value
from web.visitor import Visitors

PATH = "/digests"
MOST_AT_ONCE = 10  # files of one form, beside files of JSON

_MOST_TITLE = 500  # characters


def digests_blueprint(digests: DigestService, visitors: Visitors, large_bodies: LargeBodies) -> Blueprint:
    blueprint = Blueprint("digests", __name__, url_prefix=PATH)

    async def shelf(*, error: NunmalError | None = None, pasted: str = "", title: str = "") -> Response:
        user, words = visitors.require_user(), visitors.current().words
        body = await render_template(
            "digests.html",
            digests=digest_views(await digests.all(user.id), words),
            most_kib=digests.most_kib,
            most_at_once=MOST_AT_ONCE,
            most_articles=MOST_ARTICLES,
            pasted=pasted,
            title=title,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    async def submitted(user_id: str, form: Form) -> str:
        """Where to go on."""
        files = [file for file in form.named_files("article") if file.name or file.data]
        if not files:
            fields = ArticleInput.model_validate({"content": form["content"], "title": form["title"][:_MOST_TITLE]})
            article = await asyncio.to_thread(of_article, fields, digests.most_kib)
            return f"{PATH}/{(await digests.submit(user_id, article)).id}"
        if len(files) > MOST_AT_ONCE:
            raise TooManyArticles(limit=MOST_AT_ONCE)
        jobs: list[DigestJob] = []
        for file in files:
            jobs += await file_submitted(user_id, file)
        if len(jobs) == 1:
            return f"{PATH}/{jobs[0].id}"
        batches = {job.batch_id for job in jobs}
        (batch,) = batches if len(batches) == 1 else (None,)
        return f"{PATH}/batches/{batch}" if batch else PATH

    async def file_submitted(user_id: str, file: SentFile) -> list[DigestJob]:
        if not is_json(file.name):
            incoming = await asyncio.to_thread(of_file, file.name, file.data, digests.most_kib)
            return [await digests.submit(user_id, incoming)]
        raw = await asyncio.to_thread(articles_in, file.data)
        if len(raw) > MOST_ARTICLES:
            raise TooManyArticles(limit=MOST_ARTICLES)
        most = digests.most_kib
        incomings = await asyncio.to_thread(lambda: [of_json(each, most, at) for at, each in enumerate(raw)])
        if len(incomings) == 1 and incomings[0].refused:
            raise incomings[0].refused
        return await digests.submit_batch(user_id, incomings)

    @blueprint.get("")
    async def mine() -> ResponseReturnValue:
        return await shelf()

    @blueprint.post("")
    async def submit() -> ResponseReturnValue:
        """What is refused leaves nothing, and what was typed stays in the page."""
        user = visitors.require_user()
        with large_bodies.reading(request, user.id):
            try:
                form = await visitors.checked_form(is_long=True, has_files=True)
            except RequestEntityTooLarge:
                return await shelf(error=DigestTooLarge(limit=digests.most_kib))
            try:
                return redirect(await submitted(user.id, form), 303)
            except DigestTooLarge as error:
                return await shelf(error=error, title=form["title"][:_MOST_TITLE])
            except InputError as error:
                return await shelf(error=error, pasted=form["content"], title=form["title"][:_MOST_TITLE])

    @blueprint.get("/live")
    async def live() -> ResponseReturnValue:
        """The list alone, for a page that is open."""
        user, words = visitors.require_user(), visitors.current().words
        batch = query_value(request, "batch")
        jobs = await digests.batch(user.id, batch) if batch else await digests.all(user.id)
        progress = progress_of(jobs) if batch else None
        return await render_template("_digests.html", digests=digest_views(jobs, words), progress=progress)

    @blueprint.get("/batches/<batch_id>")
    async def batch(batch_id: str) -> ResponseReturnValue:
        user, words = visitors.require_user(), visitors.current().words
        jobs = await digests.batch(user.id, batch_id)
        return await render_template(
            "digest_batch.html",
            batch_id=batch_id,
            digests=digest_views(jobs, words),
            progress=progress_of(jobs),
        )

    @blueprint.get("/<digest_id>")
    async def one(digest_id: str) -> ResponseReturnValue:
        job = await digests.get(visitors.require_user().id, digest_id)
        return await render_template("digest.html", row=digest_view(job, visitors.current().words))

    @blueprint.get("/<digest_id>/live")
    async def one_live(digest_id: str) -> ResponseReturnValue:
        job = await digests.get(visitors.require_user().id, digest_id)
        return await render_template("_digest.html", row=digest_view(job, visitors.current().words))

    @blueprint.get("/<digest_id>/export.json")
    async def as_json(digest_id: str) -> ResponseReturnValue:
        job = await digests.get(visitors.require_user().id, digest_id)
        return _attachment(json_of(job), "application/json", job, "json")

    @blueprint.get("/<digest_id>/export.md")
    async def as_markdown(digest_id: str) -> ResponseReturnValue:
        job = await digests.get(visitors.require_user().id, digest_id)
        return _attachment(markdown_of(job, visitors.current().words), "text/markdown", job, "md")

    @blueprint.post("/<digest_id>/delete")
    async def delete(digest_id: str) -> ResponseReturnValue:
        await visitors.checked_form()
        with contextlib.suppress(NotFound):  # removed meanwhile, in another tab; a foreign one looks the same
            await digests.remove(visitors.require_user().id, digest_id)
        return redirect(PATH, 303)

    return blueprint


def _attachment(text: str | None, mimetype: str, job: DigestJob, ending: str) -> Response:
    if text is None:
        raise NotFound
    response = Response(text, content_type=f"{mimetype}; charset=utf-8")
    name = quote(f"{job.name[:60]}.{ending}", safe="")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    return response
