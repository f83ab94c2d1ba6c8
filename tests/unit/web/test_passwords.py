"""Passwords are measured in characters from below and in bytes from above, and cost the same for anybody."""

from __future__ import annotations

import pytest

from shared.errors import PasswordTooLong, PasswordTooShort
from web.auth.passwords import Passwords


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(rounds=4)


async def test_a_password_is_correct_for_its_own_hash_only(passwords: Passwords) -> None:
    password_hash = await passwords.hash("가나다라마바사아자차카타")

    assert await passwords.is_correct("가나다라마바사아자차카타", password_hash)
    assert not await passwords.is_correct("가나다라마바사아자차카파", password_hash)


async def test_eleven_characters_are_too_few(passwords: Passwords) -> None:
    with pytest.raises(PasswordTooShort, match="limit=12"):
        await passwords.hash("가" * 11)


async def test_twenty_four_syllables_fit_and_twenty_five_do_not(passwords: Passwords) -> None:
    await passwords.hash("가" * 24)
    with pytest.raises(PasswordTooLong, match="limit=72, syllables=24"):
        await passwords.hash("가" * 25)


async def test_bytes_are_checked_at_log_in_too(passwords: Passwords) -> None:
    with pytest.raises(PasswordTooLong):
        await passwords.is_correct("가" * 25, None)


async def test_nobody_has_no_correct_password(passwords: Passwords) -> None:
    assert not await passwords.is_correct("nobody's password", None)


async def test_an_unknown_account_is_checked_against_a_hash_of_the_same_cost(passwords: Passwords) -> None:
    await passwords.is_correct("whatever it may be", None)

    assert passwords._reference_hash is not None
    assert passwords._reference_hash[:7] == (await passwords.hash("whatever it may be"))[:7]
