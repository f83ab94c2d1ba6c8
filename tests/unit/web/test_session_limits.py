"""How long log-ins last: operators' are short, and never longer than other people's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.chat import AccountRole
from shared.errors import ConfigError
from shared.settings import load_settings
from web.auth.session_limits import SessionLimit, SessionLimits

_LONG = SessionLimit(timedelta(days=30), timedelta(days=7))
_SHORT = SessionLimit(timedelta(hours=12), timedelta(minutes=30))


@pytest.mark.parametrize("role", AccountRole)
def test_operators_are_logged_in_for_less_time_than_others(role: AccountRole) -> None:
    expected = _SHORT if role is AccountRole.OPERATOR else _LONG

    assert SessionLimits(people=_LONG, operators=_SHORT).of(role) == expected


def test_a_house_that_is_stricter_with_everybody_is_so_with_operators() -> None:
    people = SessionLimit(timedelta(hours=1), timedelta(hours=1))

    assert SessionLimits(people=people, operators=_SHORT).of(AccountRole.OPERATOR) == SessionLimit(
        timedelta(hours=1), timedelta(minutes=30)
    )


def test_level_2_can_be_set_for_everybody() -> None:
    web = load_settings({"NUNMAL_WEB__SESSION_DAYS": "0.5", "NUNMAL_WEB__SESSION_IDLE_HOURS": "0.5"}).web

    assert (timedelta(days=web.session_days), timedelta(hours=web.session_idle_hours)) == (_SHORT.lifetime, _SHORT.idle)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_IDLE_HOURS", "0.1"),
        ("OPERATOR_IDLE_MINUTES", "5"),
        ("SESSION_DAYS", "0"),
        ("OPERATOR_SESSION_HOURS", "-1"),
    ],
)
def test_times_that_would_log_everybody_out_at_once_are_refused(name: str, value: str) -> None:
    """The use of a session is noted once in five minutes."""
    with pytest.raises(ConfigError, match=f"NUNMAL_WEB__{name}={value!r}"):
        load_settings({f"NUNMAL_WEB__{name}": value})
