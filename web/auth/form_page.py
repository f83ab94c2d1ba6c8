"""A page with a form that says beside its field what was wrong, and keeps what was typed (never a password)."""

from __future__ import annotations

from quart import Response, render_template

from shared.errors import (
    CodeWrong,
    EmailInvalid,
    EmailTaken,
    MessageInvalid,
    NameInvalid,
    NunmalError,
    PasswordGuessable,
    PasswordTooLong,
    PasswordTooShort,
    PasswordWrong,
)
from web.errors import add_retry_after, status_of
from web.forms import Form
from web.visitor import Visitors


async def form_page(
    visitors: Visitors, template: str, form: Form, error: NunmalError | None = None, **values: object
) -> Response:
    """With the status of `error`; the template gets `error` (a sentence) and `error_field`."""
    sentence = visitors.current().words.explain(error) if error else ""
    body = await render_template(template, form=form, error_field=_field_of(error), error=sentence, **values)
    response = Response(body, status=status_of(error) if error else 200, content_type="text/html; charset=utf-8")
    if error:
        add_retry_after(response, error)
    return response


def _field_of(error: NunmalError | None) -> str:
    match error:
        case None:
            return ""
        case EmailInvalid() | EmailTaken():
            return "email"
        case NameInvalid():
            return "name"
        case CodeWrong():
            return "code"
        case PasswordWrong():
            return "old_password"
        case PasswordGuessable() | PasswordTooLong() | PasswordTooShort() | MessageInvalid():
            return "password"
        case _:
            return "form"
