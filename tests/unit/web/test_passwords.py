"""Passwords are measured in characters from below and in bytes from above, and cost the same for anybody."""

from __future__ import annotations

import asyncio
import threading

import bcrypt
import pytest

from shared.errors import PasswordTooLong, PasswordTooShort, TooBusy
from web.auth.passwords import Passwords, check_length


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


@pytest.mark.parametrize(
    "password",
    ["xkqzv" + " " * 7, " " * 7 + "xkqzv", "xkq" + " " * 7 + "zv", "xkqzv" + "\u3164" * 7, "\u200b" * 12, ""],
)
def test_blanks_do_not_make_a_password_longer(password: str) -> None:
    with pytest.raises(PasswordTooShort):
        check_length(password)


@pytest.mark.parametrize("password", ["가 나 다 라 마 바 사", "xkqzv  wjbd  pm", "xkqzvwjbdpmf "])
def test_single_blanks_between_words_count(password: str) -> None:
    check_length(password)


async def test_twenty_four_syllables_fit_and_twenty_five_do_not(passwords: Passwords) -> None:
    await passwords.hash("가" * 24)
    with pytest.raises(PasswordTooLong, match="limit=72, syllables=24"):
        await passwords.hash("가" * 25)


async def test_bytes_are_checked_at_log_in_too(passwords: Passwords) -> None:
    with pytest.raises(PasswordTooLong):
        await passwords.is_correct("가" * 25, None)


async def test_nobody_has_no_correct_password(passwords: Passwords) -> None:
    assert not await passwords.is_correct("nobody's password", None)


async def test_a_hash_of_another_cost_is_known(passwords: Passwords) -> None:
    password_hash = await passwords.hash("가나다라마바사아자차카타")

    assert passwords.has_todays_cost(password_hash)
    assert not Passwords(rounds=5).has_todays_cost(password_hash)
    assert await passwords.is_correct("short", await passwords.hash_again("short"))


async def test_an_unknown_account_is_checked_against_a_hash_of_the_same_cost(passwords: Passwords) -> None:
    await passwords.is_correct("whatever it may be", None)

    assert passwords._reference_hash is not None
    assert passwords._reference_hash[:7] == (await passwords.hash("whatever it may be"))[:7]


async def test_when_fifty_wait_for_their_turn_the_next_is_asked_to_come_again(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()

    def check_later(password: bytes, expected: bytes) -> bool:
        return may_go_on.wait(10)

    await passwords.is_correct("the reference is made", None)
    monkeypatch.setattr(bcrypt, "checkpw", check_later)
    async with asyncio.TaskGroup() as tasks:
        under_way = [tasks.create_task(passwords.is_correct("a long password", b"x")) for _ in range(52)]
        while passwords._waiting < 50:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
        for refused in (passwords.is_correct("a long password", b"x"), passwords.hash("a long password")):
            with pytest.raises(TooBusy, match="retry_after_s=10"):
                await refused
        under_way[51].cancel()
        may_go_on.set()

    assert [task.result() for task in under_way[:51]] == [True] * 51
    assert passwords._waiting == 0
    assert await passwords.is_correct("a long password", b"x")
