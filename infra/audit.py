"""`nunmal audit verify|list`: who did what, and whether the records are still those that were written."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from typing import Any

from infra.home import opened_store
from shared.audit import ChainWalk, Head
from shared.settings import Settings
from shared.store import Store

_AT_ONCE = 1000


def command_actor() -> str:
    """Who a command acts for: the account of the operating system, whatever the environment says."""
    try:
        return f"command:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container may run under a number without a name
        return f"command:{os.getuid()}"


def verify(settings: Settings, noted: str) -> None:
    """Walk the chain and print where it ends. Raises AuditBroken at the first record that is not as it was."""
    asyncio.run(_verify(settings, noted))


def show(settings: Settings, last: int) -> None:
    """Print the last records, oldest first, one a line."""
    asyncio.run(_show(settings, last))


async def verified(store: Store, noted: str = "") -> Head:
    """The end of an unbroken chain. `noted`: a head from outside that it must hold, or "". Raises AuditBroken."""
    walk = ChainWalk(await store.audit.head(), noted)  # first: what is appended meanwhile comes after it
    while documents := await store.audit.after(walk.at.number, _AT_ONCE):
        for document in documents:
            walk.follow(document)
    return walk.finish()


async def _verify(settings: Settings, noted: str) -> None:
    async with opened_store(settings) as store:
        end = await verified(store, noted)
    sys.stdout.write(f"{end.number} records, head {end.hash}\n")


async def _show(settings: Settings, last: int) -> None:
    async with opened_store(settings) as store:
        for document in await store.audit.last(last):
            sys.stdout.write(f"{_row(document)}\n")


def _row(document: dict[str, Any]) -> str:
    facts = document.get("facts")
    known = facts.items() if isinstance(facts, dict) else ()  # whoever changed a record may have put anything there
    columns = [document.get(name, "-") for name in ("_id", "at", "actor", "action", "target")]
    return "  ".join([*map(str, columns), *(f"{name}={value}" for name, value in sorted(known))])
