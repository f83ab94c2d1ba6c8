"""`nunmal users create`: recorded before it is done, with the rules of the sign-up page."""

from __future__ import annotations

import io
import sys

import pytest

from infra import users
from shared.audit import AuditAction
from shared.chat import AccountRole
from shared.errors import EmailTaken, PasswordGuessable, StoreUnavailable
from shared.settings import Settings, load_settings
from shared.store import Store
from shared.store.audit import Audit
from tests.service import PASSWORD


@pytest.fixture
def settings(store: Store, store_url: str) -> Settings:
    web = {"bcrypt_rounds": 4}
    return load_settings({"NUNMAL_STORE_URL": store_url, "NUNMAL_STORE_DATABASE": store._database.name}, web=web)


async def test_an_account_that_cannot_be_recorded_is_not_made(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_args: object, **_facts: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(Audit, "append", away)
    with pytest.raises(StoreUnavailable):
        await users._create(settings, "a@example.com", "가", PASSWORD, AccountRole.USER)

    assert await store.users.everyone() == []


async def test_the_record_names_the_account_and_a_taken_address_leaves_none(settings: Settings, store: Store) -> None:
    await users._create(settings, "a@example.com", "가", PASSWORD, AccountRole.OPERATOR)
    with pytest.raises(EmailTaken):
        await users._create(settings, "a@example.com", "나", PASSWORD, AccountRole.USER)

    (record,), (user,) = await store.audit.last(10), await store.users.everyone()
    assert (record["action"], record["target"]) == (str(AuditAction.USER_CREATED), user.id)
    assert record["facts"] == {"role": "operator"}


@pytest.mark.parametrize("password", ["password1234", "jiu@example.com"])
def test_a_password_that_others_try_first_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{password}\n".encode())))

    with pytest.raises(PasswordGuessable):
        users.create(settings, "jiu@example.com", "지우", AccountRole.USER)
