"""`nunmal users create|list|role|reset`: accounts, by the one who runs the house. Only here do roles change.

Rules for addresses, names and passwords are those of the sign-up page.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import sys
from collections.abc import Iterator
from datetime import timedelta

from infra.audit import command_actor
from infra.home import opened_store, running_pages
from shared.audit import AuditAction
from shared.chat import AccountRole, User
from shared.errors import AccountUnknown, ConfigError, EmailTaken, InputError, MessageInvalid
from shared.ids import new_id
from shared.settings import Settings
from shared.store import Store
from web.auth.accounts import new_password, normal_email, normal_name
from web.auth.passwords import Passwords
from web.words import load_words

_RESET_LIFETIME = timedelta(hours=24)
_MOST_LINE_BYTES = 4096


def create(settings: Settings, email: str, name: str, role: AccountRole) -> None:
    """Make an account with the password that standard input has; prints its id. Raises InputError."""
    with explained():
        email, name = normal_email(email), normal_name(name)
        password = _password(own=(email, name))
    asyncio.run(_create(settings, email, name, password, role))


def show(settings: Settings) -> None:
    """Print id, when (UTC), role, e-mail and name of each account, one a line."""
    asyncio.run(_show(settings))


def change_role(settings: Settings, email: str, role: AccountRole) -> None:
    """Takes effect at once, and the person has to log in again; prints the account's id. Raises AccountUnknown."""
    asyncio.run(_change_role(settings, email, role))


def reset(settings: Settings, email: str, *, without_second_step: bool = False) -> None:
    """Print a link that lets the person choose a new password once, within a day, and with `without_second_step`
    switches their second step off. Raises AccountUnknown, and ConfigError if nothing says where the pages are.
    """
    asyncio.run(_reset(settings, email, without_second_step))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """What the rules of the sign-up page refuse is told with their sentences."""
    try:
        yield
    except InputError as error:
        raise type(error)(load_words()["en"].explain(error), **error.facts) from error


async def account(store: Store, email: str) -> User:
    """Raises AccountUnknown, EmailInvalid."""
    with explained():
        email = normal_email(email)
    user = await store.users.by_email(email)
    if user is None:
        raise AccountUnknown(f"there is no account with the e-mail {email}")
    return user


async def _create(settings: Settings, email: str, name: str, password: str, role: AccountRole) -> None:
    password_hash = await Passwords(settings.web.bcrypt_rounds).hash(password)
    async with opened_store(settings) as store:
        user_id, taken = new_id(), f"there is already an account with the e-mail {email}"
        if await store.users.by_email(email):
            raise EmailTaken(taken)
        # Recorded first, as below: an account that nobody can account for is worse than a record of none.
        await store.audit.append(command_actor(), AuditAction.USER_CREATED, user_id, role=str(role))
        try:
            await store.users.create(email, name, password_hash, role, user_id)
        except EmailTaken as error:  # a moment ago
            raise EmailTaken(taken) from error
    sys.stdout.write(f"{user_id}\n")


async def _show(settings: Settings) -> None:
    async with opened_store(settings) as store:
        for user in await store.users.everyone():
            sys.stdout.write(f"{user.id}  {user.created_at:%F %T}  {user.role}  {user.email}  {user.name}\n")


async def _change_role(settings: Settings, email: str, role: AccountRole) -> None:
    async with opened_store(settings) as store:
        user = await account(store, email)
        # Recorded first: a right that nobody can account for is worse than a record of one that was not given.
        facts = {"before": str(user.role), "after": str(role)}
        await store.audit.append(command_actor(), AuditAction.ROLE_CHANGED, user.id, **facts)
        await store.users.set_role(user.id, role)
        await store.sessions.revoke_all(user.id)  # those of operators are shorter
    sys.stdout.write(f"{user.id}\n")


async def _reset(settings: Settings, email: str, without_second_step: bool) -> None:
    async with opened_store(settings) as store:
        pages = settings.web.public_url or running_pages(settings.home)
        if not pages:
            raise ConfigError("NUNMAL_WEB__PUBLIC_URL is needed: it says where the pages are that the link leads to")
        user = await account(store, email)
        token = await store.resets.create(user.id, _RESET_LIFETIME, without_second_step=without_second_step)
        facts = {"second_step": "removed" if without_second_step else "kept"}
        await store.audit.append(command_actor(), AuditAction.RESET_LINK_MADE, user.id, **facts)
    sys.stdout.write(f"{pages}/reset/{token}\n")


def _password(own: tuple[str, ...]) -> str:
    """One line of standard input, asked for without echo at a terminal. Raises InputError, ConfigError."""
    if sys.stdin.isatty():
        text = getpass.getpass("Password: ")
    else:
        line = sys.stdin.buffer.readline(_MOST_LINE_BYTES)
        if not line:
            raise ConfigError("the password is read from standard input, which is empty")
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise MessageInvalid from error
    return new_password(text, own)
