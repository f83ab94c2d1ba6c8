"""Operators, as they come to a web node."""

from __future__ import annotations

from quart import Quart

from shared.chat import AccountRole
from shared.store import Store
from tests.web_visitor import WebVisitor


async def id_of(store: Store, email: str) -> str:
    user = await store.users.by_email(email)
    assert user is not None
    return user.id


async def signed_in_operator(app: Quart, store: Store, name: str = "이운영") -> tuple[WebVisitor, str, list[str]]:
    """The visitor, their id, and their recovery codes."""
    operator = WebVisitor(app)
    operator_id = await id_of(store, await operator.sign_up(name))
    await store.users.set_role(operator_id, AccountRole.OPERATOR)
    return operator, operator_id, await operator.switch_on_second_step()
