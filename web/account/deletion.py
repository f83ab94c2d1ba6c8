"""Leaving: an account and everything of its owner goes, even if this node dies in the middle."""

from __future__ import annotations

import logging

from shared.audit import AuditAction
from shared.chat import User
from shared.errors import StoreUnavailable
from shared.store import Store
from shared.telemetry import fields
from web.auth.accounts import Accounts, Client
from web.auth.second_step import SecondStepService
from web.cancellation import Cancellation

log = logging.getLogger(__name__)


class AccountDeletion:
    def __init__(
        self, store: Store, accounts: Accounts, second_step: SecondStepService, cancellation: Cancellation
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._second_step = second_step
        self._cancellation = cancellation

    async def delete(self, user: User, password: str, code: str, client: Client) -> None:
        """`code`: of the second step, where there is one.

        Raises PasswordWrong, CodeWrong, TooManyTries; StoreUnavailable: nothing was deleted.
        """
        await self._accounts.require_password(user, password, client)
        if await self._second_step.codes_left(user) is not None:
            await self._second_step.check(user, code, client.address)
        await self._store.audit.append(user.id, AuditAction.ACCOUNT_DELETED, user.id)
        await self._store.users.begin_deletion(user.id)
        try:
            for generation_id in await self._store.personal.unfinished_ids(user.id):
                await self._cancellation.cancel(user.id, generation_id)
            await self._store.personal.remove(user.id)
        except StoreUnavailable as error:  # some node finishes it (shared/forgetting.py)
            log.warning("deletion_goes_on_later", extra=fields(user_id=user.id, reason=str(error)))
