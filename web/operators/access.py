"""Break-glass: how an operator comes to read somebody's conversations. No HTTP here.

Operators have no other way, and none without a second step: password and code are asked for again at each grant.
A grant is for one person, for a reason and for minutes; it can only read, it ends by
itself, and the owner is told. Nothing is handed out before its record is in the audit chain.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from shared.audit import AuditAction
from shared.chat import Conversation, User
from shared.errors import (
    AccountUnknown,
    EmailInvalid,
    GrantEnded,
    InputError,
    NotFound,
    ReasonInvalid,
    SecondStepRequired,
)
from shared.ids import is_id
from shared.store import Store
from shared.store.grants import Grant, new_grant
from web.auth.accounts import Accounts, Client, normal_email
from web.auth.second_step import SecondStepService
from web.chat.service import ChatService, OpenConversation
from web.forms import tidy

MINUTES = (5, 15, 60)
LEAST_REASON_CHARACTERS = 10
MOST_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Proof:
    """That it is the operator who asks, and not somebody at their browser."""

    password: str
    code: str
    client: Client


@dataclass(frozen=True, slots=True)
class OpenGrant:
    """A running grant and the person it is about."""

    grant: Grant
    owner: User


class Access:
    """What an operator can do. Who calls has checked that `operator` is one."""

    def __init__(self, store: Store, chat: ChatService, accounts: Accounts, second_step: SecondStepService) -> None:
        self._store = store
        self._chat = chat
        self._accounts = accounts
        self._second_step = second_step

    async def require_second_step(self, operator: User) -> None:
        """Raises SecondStepRequired."""
        if not await self._store.second_steps.is_on(operator.id):
            raise SecondStepRequired

    async def of(self, operator: User) -> list[Grant]:
        """The operator's own grants, the last first."""
        return await self._store.grants.of_operator(operator.id)

    async def begin(self, operator: User, email: str, reason: str, minutes: str, proof: Proof) -> Grant:
        """Uses the code up, unless something else is refused first.

        Raises AccountUnknown, ReasonInvalid, MessageInvalid, InputError for another number of minutes, PasswordWrong,
        CodeWrong and TooManyTries.
        """
        if minutes not in map(str, MINUTES):
            raise InputError
        reason = tidy(reason, MOST_REASON_CHARACTERS).strip()
        if not LEAST_REASON_CHARACTERS <= len(reason) <= MOST_REASON_CHARACTERS:
            raise ReasonInvalid(least=LEAST_REASON_CHARACTERS, most=MOST_REASON_CHARACTERS)
        await self._accounts.require_password(operator, proof.password, proof.client)
        try:
            owner = await self._store.users.by_email(normal_email(email))
        except EmailInvalid:
            owner = None
        if owner is None:
            raise AccountUnknown
        await self._second_step.check(operator, proof.code, proof.client.address)
        grant = new_grant(operator, owner.id, reason, int(minutes))
        # The reason is people's words and stays out of the chain; its hash shows whether it was changed later.
        facts: dict[str, str | int] = {"grant": grant.id, "minutes": grant.minutes, "reason_sha256": _sha256(reason)}
        await self._store.audit.append(operator.id, AuditAction.ACCESS_GRANTED, owner.id, **facts)
        await self._store.grants.add(grant)
        return grant

    async def conversations(self, operator: User, grant_id: str) -> tuple[OpenGrant, list[Conversation]]:
        """The owner's conversations by title. Raises NotFound, GrantEnded."""
        opened = await self._running(operator, grant_id)
        action = AuditAction.CONVERSATIONS_LISTED
        await self._store.audit.append(operator.id, action, opened.owner.id, grant=grant_id)
        return opened, await self._chat.list(opened.owner)

    async def read(self, operator: User, grant_id: str, conversation_id: str) -> tuple[OpenGrant, OpenConversation]:
        """One of the owner's conversations. Raises NotFound (also for anybody else's conversation), GrantEnded."""
        opened = await self._running(operator, grant_id)
        conversation = await self._chat.open(opened.owner, conversation_id)
        facts = {"grant": grant_id, "owner": opened.owner.id}
        await self._store.audit.append(operator.id, AuditAction.CONVERSATION_READ, conversation_id, **facts)
        return opened, conversation

    async def end(self, operator: User, grant_id: str) -> None:
        """Give it back early; one that has ended stays as it is. Raises NotFound."""
        grant = await self._own(operator, grant_id)
        if await self._store.grants.end(grant_id, operator.id):
            await self._store.audit.append(operator.id, AuditAction.ACCESS_ENDED, grant.owner_id, grant=grant_id)

    async def _running(self, operator: User, grant_id: str) -> OpenGrant:
        grant = await self._own(operator, grant_id)
        if not grant.is_running:
            raise GrantEnded
        owner = await self._store.users.get(grant.owner_id)
        if owner is None:  # the account was deleted meanwhile
            raise NotFound
        return OpenGrant(grant, owner)

    async def _own(self, operator: User, grant_id: str) -> Grant:
        grant = await self._store.grants.get(grant_id, operator.id) if is_id(grant_id) else None
        if grant is None:
            raise NotFound
        return grant


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
