"""NUNMAL_MAIL__URL: what it may be, and that a wrong one does not print the password."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from shared.settings import load_settings
from web.mail import mail_server, parse_mail_url


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "user", "password"),
    [
        ("smtp://u:p%40ss@mail.example.com?from=a@b.kr", "mail.example.com", 587, "starttls", "u", "p@ss"),
        ("smtps://u:p@mail.example.com/?from=a@b.kr", "mail.example.com", 465, "smtps", "u", "p"),
        ("smtp://127.0.0.1:2525?from=a@b.kr&tls=none", "127.0.0.1", 2525, "none", None, None),
    ],
)
def test_an_address_is_read(url: str, host: str, port: int, tls: str, user: str | None, password: str | None) -> None:
    server = parse_mail_url(url)

    assert (server.host, server.port, server.tls, server.user, server.password) == (host, port, tls, user, password)
    assert server.sender == "a@b.kr"
    assert password is None or repr(password) not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "http://u:hunter2@mail.example.com?from=a@b.kr",
        "smtp://u:hunter2@mail.example.com",
        "smtp://u:hunter2@mail.example.com?from=nobody",
        "smtp://u:hunter2@mail.example.com?from=a@b.kr&form=x",
        "smtps://u:hunter2@mail.example.com?from=a@b.kr&tls=none",
        "smtp://u:hunter2@mail.example.com:port?from=a@b.kr",
        "smtp://u:hunter2@mail.example.com/path?from=a@b.kr",
        "smtp://?from=a@b.kr",
    ],
)
def test_any_other_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="NUNMAL_MAIL__URL is not") as caught:
        parse_mail_url(url)

    assert "hunter2" not in str(caught.value)


def test_mail_needs_the_address_that_links_begin_with() -> None:
    url = "smtp://mail.example.com?from=a@b.kr"

    with pytest.raises(ConfigError, match="NUNMAL_WEB__PUBLIC_URL"):
        mail_server(load_settings({"NUNMAL_MAIL__URL": url}))
    assert mail_server(load_settings({})) is None
    assert mail_server(load_settings({"NUNMAL_MAIL__URL": url, "NUNMAL_WEB__PUBLIC_URL": "https://nunmal.example"}))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUNMAL_WEB__PUBLIC_URL", "nunmal.example"),
        ("NUNMAL_WEB__PUBLIC_URL", "https://nunmal.example/"),
        ("NUNMAL_WEB__PUBLIC_URL", "https://user@nunmal.example"),
        ("NUNMAL_WEB__TRUSTED_PROXIES", "10.0.0.0/33"),
        ("NUNMAL_WEB__TRUSTED_PROXIES", "everybody"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        load_settings({variable: value})
