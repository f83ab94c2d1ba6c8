"""`nunmal keys create|list|revoke`: API keys of an account, by the one who runs the house."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from infra.audit import command_actor
from infra.home import opened_store
from infra.users import account, explained
from shared.audit import AuditAction
from shared.errors import NotFound
from shared.settings import Settings
from shared.store.keys import ApiKey
from web.auth.accounts import normal_name


def create(settings: Settings, email: str, name: str, scopes: Sequence[str], expires_days: int | None) -> None:
    """Print the secret of a new key, once and for all. Raises AccountUnknown, EmailInvalid, NameInvalid."""
    expires_at = datetime.now(UTC) + timedelta(days=expires_days) if expires_days else None
    with explained():
        name = normal_name(name) if name else ""
    asyncio.run(_create(settings, email, name, scopes, expires_at))


def show(settings: Settings, email: str) -> None:
    """Print each key of an account, the last made first, one a line; never a secret. Raises AccountUnknown."""
    asyncio.run(_show(settings, email))


def revoke(settings: Settings, key_id: str) -> None:
    """Print its id. Raises NotFound."""
    asyncio.run(_revoke(settings, key_id))


async def _create(
    settings: Settings, email: str, name: str, scopes: Sequence[str], expires_at: datetime | None
) -> None:
    async with opened_store(settings) as store:
        user = await account(store, email)
        key, secret = await store.keys.create(user.id, name, scopes, expires_at)
        facts = {"owner": user.id, "scopes": ",".join(sorted(key.scopes))}
        await store.audit.append(command_actor(), AuditAction.KEY_MADE, key.id, **facts)
    sys.stdout.write(f"{secret}\n")


async def _show(settings: Settings, email: str) -> None:
    async with opened_store(settings) as store:
        for key in await store.keys.of_user((await account(store, email)).id):
            sys.stdout.write(f"{_row(key)}\n")


async def _revoke(settings: Settings, key_id: str) -> None:
    async with opened_store(settings) as store:
        key = await store.keys.get(key_id)
        if key is None or not await store.keys.revoke(key.id, key.user_id):
            raise NotFound(f"there is no key {key_id}")
        await store.audit.append(command_actor(), AuditAction.KEY_REVOKED, key.id, owner=key.user_id)
    sys.stdout.write(f"{key.id}\n")


def _row(key: ApiKey) -> str:
    """Id, hint, made, last used, expires (UTC), scopes, name."""
    days = (f"{day:%F}" if day else "-" for day in (key.created_at, key.last_used_at, key.expires_at))
    return "  ".join([key.id, f"...{key.hint}", *days, ",".join(sorted(key.scopes)), key.name]).rstrip()
