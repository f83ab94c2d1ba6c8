"""A new password for somebody who forgot theirs: a one-time link by mail, or from an operator (`nunmal users reset`).

Who asks gets the same answer in the same time, whether there is such an account or not: all that depends on it happens
in the background.

A second step stays: reading somebody's mail is one factor. An account may have one that its owner did not set (a
stranger registered the address, or knew the password); only an operator's link removes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.audit import AuditAction
from shared.chat import User
from shared.errors import LinkEnded
from shared.store import Store
from shared.store.resets import Reset
from web.auth.accounts import Accounts, Client, new_password, normal_email
from web.auth.known_devices import KnownDevices
from web.auth.letters import AccountLetters
from web.auth.throttling import Throttling
from web.mail import Letter, Outbox
from web.words import Words

_LIFETIME = timedelta(minutes=30)
_TRIES = "reset"


class SecondStepAfter(StrEnum):
    """What becomes of the account's second step when the link is used."""

    NONE = "none"  # there is none
    KEPT = "kept"  # it is asked for as before
    REMOVED = "removed"  # only an operator gives such links


@dataclass(frozen=True, slots=True)
class _Opened:
    reset: Reset
    user: User


class ResetLinks:
    """`public_url`: what links in letters begin with; never the Host header, which the sender of a request chooses."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        throttling: Throttling,
        devices: KnownDevices,
        outbox: Outbox,
        *,
        public_url: str,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._throttling = throttling
        self._devices = devices
        self._outbox = outbox
        self._letters = AccountLetters(outbox)
        self._public_url = public_url

    async def ask(self, email: str, client: Client, words: Words) -> None:
        """Send a link if there is such an account. Raises EmailInvalid, TooManyTries."""
        email = normal_email(email)
        # Only a browser that shows a cookie waits for the store, for unknown addresses as long as for known ones.
        credentials = await self._store.users.credentials(email) if client.device else None
        device = self._devices.name_in(client.device, credentials)
        await self._throttling.begin(_TRIES, email, client.address, device)

        async def letter() -> Letter | None:
            user = await self._store.users.by_email(email)
            if user is None:
                return None
            link = f"{self._public_url}/reset/{await self._store.resets.create(user.id, _LIFETIME)}"
            minutes = int(_LIFETIME.total_seconds() / 60)
            return Letter(email, words("mail.reset_subject"), words("mail.reset", link=link, minutes=minutes))

        self._outbox.post(letter)

    async def check(self, token: str) -> SecondStepAfter:
        """What the link will do. Raises LinkEnded. The link stays good."""
        return await self._effect(await self._open(token))

    async def choose(self, token: str, password: str, words: Words) -> SecondStepAfter:
        """Set the new password, end all sessions, revoke all API keys and tell the account's owner, once.

        The keys too: whoever had the account before may have made them, and would keep it by them.

        Raises LinkEnded; and what new_password raises, after which the link is still good.
        """
        opened = await self._open(token)
        password = new_password(password, own=(opened.user.email, opened.user.name))
        if await self._store.resets.use(token) is None:
            raise LinkEnded
        effect = await self._effect(opened)
        if effect is SecondStepAfter.REMOVED:
            await self._store.audit.append(opened.user.id, AuditAction.SECOND_STEP_REMOVED, opened.user.id)
            await self._store.second_steps.switch_off(opened.user.id)
        await self._accounts.set_password(opened.user, password)
        await self._accounts.end_all_sessions(opened.user)
        await self._revoke_keys(opened.user)
        is_removed = effect is SecondStepAfter.REMOVED
        self._letters.tell(opened.user, words, words("mail.notice_reset_off" if is_removed else "mail.notice_reset"))
        return effect

    async def _effect(self, opened: _Opened) -> SecondStepAfter:
        if not await self._store.second_steps.is_on(opened.user.id):
            return SecondStepAfter.NONE
        return SecondStepAfter.REMOVED if opened.reset.without_second_step else SecondStepAfter.KEPT

    async def _revoke_keys(self, user: User) -> None:
        for key in await self._store.keys.of_user(user.id):
            if await self._store.keys.revoke(key.id, user.id):
                await self._store.audit.append(user.id, AuditAction.KEY_REVOKED, key.id, owner=user.id)

    async def _open(self, token: str) -> _Opened:
        reset = await self._store.resets.find(token)
        user = await self._store.users.get(reset.user_id) if reset else None
        if reset is None or user is None:
            raise LinkEnded
        return _Opened(reset, user)
