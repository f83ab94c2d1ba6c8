"""Who guesses has to wait, ever longer; who just mistyped does not notice.

Tries are counted by account and by client address, before a password is looked at: a refused try learns nothing, not
even that its password was right, and costs nothing. The first few are free, then each has to wait twice as long as the
one before, from 5 s to `longest_wait_s`. A counter comes down by its number of free tries an hour, so in the long run
nobody guesses more often than that, and nobody is kept out of their own account for longer than the longest wait at a
time. A log-in forgets its account's counter; the address gets this try back, and keeps those that failed. A new
password by a reset link forgets the account's counter too.

A browser that has logged in to an account before has a counter of its own there (known_devices.py), so that strangers
cannot keep its owner out.

An unknown account is counted like any other.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.errors import TooManyTries
from shared.store.throttle import Throttle, Tries
from web.auth.address import counted_address
from web.security_log import SecurityEvent, note

SIGN_UP = "sign-up"  # the kind of try that is counted more tightly
_FIRST_WAIT_S = 5.0
_HOUR_S = 3600.0
_MOST_DOUBLINGS = 32
_MOST_RIVALS = 20  # times a counter may be changed by others while we count, before we ask to come again
_RIVALS_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class TryLimits:
    """`per_account` and `per_address`: free tries, and how many are forgiven an hour."""

    per_account: int = 5
    per_address: int = 100
    sign_ups_per_address: int = 10  # fewer: every account has limits of its own
    longest_wait_s: float = 900.0

    def of_address(self, kind: str) -> int:
        return self.sign_ups_per_address if kind == SIGN_UP else self.per_address


class Attempt:
    """One counted try."""

    def __init__(self, throttle: Throttle, account_key: str, address_key: str) -> None:
        self._throttle = throttle
        self.account_key = account_key
        self.address_key = address_key

    async def succeeded(self) -> None:
        """It was no guess: the account starts anew, the address gets this try back."""
        await asyncio.gather(self._throttle.forget(self.account_key), self._throttle.give_back(self.address_key))


class Throttling:
    def __init__(self, throttle: Throttle, limits: TryLimits) -> None:
        self._throttle = throttle
        self._limits = limits

    async def begin(self, kind: str, account: str, address: str, device: str = "") -> Attempt:
        """Count a try of this kind at an account (its e-mail or id) from an address; `device`: a browser it knows.

        Raises TooManyTries: not yet; fact: retry_after_s.
        """
        attempt = self._attempt(kind, account, address, device)
        pending = {attempt.account_key: self._limits.per_account, attempt.address_key: self._limits.of_address(kind)}
        for _ in range(_MOST_RIVALS):
            now = datetime.now(UTC)
            found = await self._throttle.read(pending)
            counters = {key: found.get(key, Tries(0.0, now)) for key in pending}
            wait = max(wait_s(counters[key], now, free, self._limits.longest_wait_s) for key, free in pending.items())
            if wait > 0:
                note(SecurityEvent.TRY_THROTTLED, door=kind)
                raise TooManyTries(retry_after_s=wait)
            written = await asyncio.gather(
                *(self._count(key, counters[key], now, free) for key, free in pending.items())
            )
            pending = {key: free for (key, free), is_done in zip(pending.items(), written, strict=True) if not is_done}
            if not pending:
                return attempt
        raise TooManyTries(retry_after_s=_RIVALS_WAIT_S)

    async def succeeded(self, kind: str, account: str, address: str, device: str = "") -> None:
        """A try that was begun in an earlier request was no guess."""
        await self._attempt(kind, account, address, device).succeeded()

    async def forget(self, kind: str, account: str) -> None:
        """The account's owner has shown who they are in another way."""
        await self._throttle.forget(_key(kind, "account", account))

    def _attempt(self, kind: str, account: str, address: str, device: str) -> Attempt:
        account_key = _key(kind, "device", f"{account}\0{device}") if device else _key(kind, "account", account)
        return Attempt(self._throttle, account_key, _key(kind, "address", counted_address(address)))

    async def _count(self, key: str, tries: Tries, now: datetime, free: int) -> bool:
        counted = one_more(tries, now, free)
        return await self._throttle.write(key, counted, forgotten_at(counted, free))


def count_at(tries: Tries, now: datetime, free: int) -> float:
    """What is left of the count; it comes down by `free` an hour."""
    elapsed_s = max(0.0, (now - tries.at).total_seconds())
    return max(0.0, tries.count - elapsed_s * free / _HOUR_S)


def one_more(tries: Tries, now: datetime, free: int) -> Tries:
    return Tries(count_at(tries, now, free) + 1.0, now, tries.version)


def wait_s(tries: Tries, now: datetime, free: int, longest_s: float) -> float:
    """Seconds until the next try is allowed; 0: now.

    With `free` tries behind it that are not forgiven, it waits 5 s, 10 s, 20 s ... up to `longest_s` after the last,
    or until one of them is forgiven.
    """
    too_many = tries.count - (free - 1)
    if too_many <= 0:
        return 0.0
    doubled_s = _FIRST_WAIT_S * 2.0 ** min(math.ceil(too_many) - 1, _MOST_DOUBLINGS)
    forgiven_s = too_many * _HOUR_S / free
    since_s = (now - tries.at).total_seconds()
    return max(0.0, min(longest_s, doubled_s, forgiven_s) - since_s)


def forgotten_at(tries: Tries, free: int) -> datetime:
    """When the count has come down to 0."""
    return tries.at + timedelta(seconds=tries.count * _HOUR_S / free)


def _key(kind: str, of: str, name: str) -> str:
    return hashlib.sha256(f"{kind}\0{of}\0{name}".encode()).hexdigest()
