"""Who may see operators' pages: operators with a second step. To everybody else they are not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, render_template
from quart.typing import ResponseReturnValue

from shared.chat import AccountRole, User
from shared.errors import SecondStepRequired
from web.errors import status_of
from web.operators.access import Access
from web.visitor import Visitors

Operator = Callable[[], Awaitable[User]]


def operators_only(blueprint: Blueprint, access: Access, visitors: Visitors) -> Operator:
    """What every route of `blueprint` asks first: who it is. Raises LoginRequired, NotFound, SecondStepRequired; the
    last has a page of its own."""

    @blueprint.errorhandler(SecondStepRequired)
    async def locked(error: SecondStepRequired) -> ResponseReturnValue:
        sentence = visitors.current().words.explain(error)
        return await render_template("access_locked.html", sentence=sentence), status_of(error)

    async def operator() -> User:
        user = visitors.require_role(AccountRole.OPERATOR)
        await access.require_second_step(user)
        return user

    return operator
