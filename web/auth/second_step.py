"""The second step of a log-in: six digits from an authenticator app (TOTP, RFC 6238), or a recovery code.

A code is good for its half minute and the ones before and after it, and once. The secret is sealed in the store, the
recovery codes are keyed hashes there: a copy of the store alone does not log in.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass

import pyotp
import segno
from pyotp.exceptions import OTPVerificationError

from shared.chat import User
from shared.errors import CodeWrong, LinkEnded, SecondStepChanged
from shared.store import Store
from web.auth.sealing import Digest, Seal
from web.auth.throttling import Throttling
from web.security_log import SecurityEvent, note

_ISSUER = "Nunmal"
_ENROL_WITHIN_S = 900
_LOG_IN_WITHIN_S = 300
_CODES = 10
_CODE_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what people take for something else
_CODE_LETTERS = 12  # 59 bits
_MOST_TYPED = 64
_TRIES = "code"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an app needs to know; nothing is switched on until a code of it comes back with `sealed`."""

    secret: str  # base32, in groups of four
    picture: str  # QR code as data URI
    sealed: str


class SecondStepService:
    def __init__(self, store: Store, throttling: Throttling, secret_key: bytes) -> None:
        self._store = store
        self._throttling = throttling
        self._secrets = Seal(secret_key, "totp secret")
        self._enrolments = Seal(secret_key, "totp enrolment")
        self._log_ins = Seal(secret_key, "log-in")
        self._codes = Digest(secret_key, "recovery code")
        self._passwords = Digest(secret_key, "password hash")

    async def codes_left(self, user: User) -> int | None:
        """How many recovery codes are left; None: there is no second step."""
        step = await self._store.second_steps.get(user.id)
        return step.codes_left if step else None

    def enrol(self, user: User) -> Enrolment:
        """A new secret. Only for whom has just shown the password: a stolen session must not lock its owner out."""
        return self._enrolment(user, pyotp.random_base32())

    def enrolled(self, user: User, sealed: str) -> Enrolment:
        """The same once more. Raises SecondStepChanged if it is not the user's, or too long ago."""
        return self._enrolment(user, self._secret_in(user, sealed), sealed)

    async def switch_on(self, user: User, sealed: str, code: str, address: str) -> list[str]:
        """Returns the recovery codes, which nobody can read again.

        Raises: CodeWrong, TooManyTries, SecondStepChanged (the enrolment is too old, or there is one already).
        """
        secret = self._secret_in(user, sealed)
        attempt = await self._throttling.begin(_TRIES, user.id, address)
        timecode = _timecode(secret, _normal(code))
        if timecode is None:
            note(SecurityEvent.CODE_REFUSED, user_id=user.id)
            raise CodeWrong
        await attempt.succeeded()
        codes = ["".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LETTERS)) for _ in range(_CODES)]
        hashes = [self._hash(user, code) for code in codes]
        if not await self._store.second_steps.switch_on(user.id, self._sealed_secret(user, secret), timecode, hashes):
            raise SecondStepChanged
        return ["-".join(re.findall("....", code)) for code in codes]

    async def check(self, user: User, code: str, address: str) -> None:
        """Uses the code up. Raises CodeWrong, TooManyTries."""
        attempt = await self._throttling.begin(_TRIES, user.id, address)
        if not await self._is_good(user, _normal(code)):
            note(SecurityEvent.CODE_REFUSED, user_id=user.id)
            raise CodeWrong
        await attempt.succeeded()

    async def switch_off(self, user: User) -> None:
        await self._store.second_steps.switch_off(user.id)

    def half_way(self, user: User, password_hash: bytes) -> str:
        """Says that the password was right, for five minutes and until it changes: a cookie between the two steps."""
        return self._log_ins.close(f"{user.id} {self._passwords.of(password_hash.hex())}")

    async def whose(self, half_way: str) -> User:
        """Whose log-in is half done. Raises LinkEnded if that was too long ago."""
        opened = self._log_ins.open(half_way, within_s=_LOG_IN_WITHIN_S)
        user_id, _, mark = (opened or "").partition(" ")
        credentials = await self._store.users.credentials_of(user_id)
        if credentials is None or self._passwords.of(credentials.password_hash.hex()) != mark:
            raise LinkEnded
        return credentials.user

    async def _is_good(self, user: User, code: str) -> bool:
        if not re.fullmatch("[0-9]{6}", code):
            return await self._store.second_steps.use_code(user.id, self._hash(user, code))
        step = await self._store.second_steps.get(user.id)
        opened = self._secrets.open(step.sealed_secret) if step else None
        owner, _, secret = (opened or "").partition(" ")
        timecode = _timecode(secret, code) if owner == user.id else None
        if timecode is None:
            return False
        if not await self._store.second_steps.use_timecode(user.id, timecode):
            note(SecurityEvent.CODE_REUSED, user_id=user.id)  # somebody looked over a shoulder, or is between us
            return False
        return True

    def _enrolment(self, user: User, secret: str, sealed: str = "") -> Enrolment:
        address = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=_ISSUER)
        picture = segno.make_qr(address, error="m").svg_data_uri(border=3, dark="#1d1f24", light="#fff")
        return Enrolment(
            secret=" ".join(re.findall("....", secret)),
            picture=picture,
            sealed=sealed or self._enrolments.close(f"{user.id} {secret}"),
        )

    def _secret_in(self, user: User, sealed: str) -> str:
        opened = self._enrolments.open(sealed, within_s=_ENROL_WITHIN_S)
        owner, _, secret = (opened or "").partition(" ")
        if owner != user.id:
            raise SecondStepChanged
        return secret

    def _sealed_secret(self, user: User, secret: str) -> str:
        return self._secrets.close(f"{user.id} {secret}")  # with its owner: rows of the store cannot be swapped

    def _hash(self, user: User, code: str) -> str:
        return self._codes.of(f"{user.id} {code}")


def _normal(code: str) -> str:
    """As it is compared: ASCII digits, lower case, without the spaces and hyphens that people see between groups."""
    text = unicodedata.normalize("NFKC", code[:_MOST_TYPED]).lower()
    return re.sub(r"[\s-]", "", text)


def _timecode(secret: str, code: str) -> int | None:
    """The half minute that this code is of, if that is now, the one before, or the next."""
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code, valid_window=1)
    except OTPVerificationError:
        return None
