"""Whom tries are counted by: nobody chooses their own address by writing a header."""

from __future__ import annotations

import pytest

from web.auth.address import ClientAddresses, counted_address

_PROXIES = "10.0.0.0/8, ::1"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "client"),
    [
        ("", "203.0.113.7", [], "203.0.113.7"),
        ("", "127.0.0.1", ["198.51.100.1"], "127.0.0.1"),  # nobody is trusted, not even this machine
        (_PROXIES, "203.0.113.7", ["198.51.100.1"], "203.0.113.7"),  # not from a proxy
        (_PROXIES, "10.0.0.2", ["198.51.100.1"], "198.51.100.1"),
        (_PROXIES, "10.0.0.2", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the left one was sent by the client
        (_PROXIES, "10.0.0.2", ["1.1.1.1", "198.51.100.1, 10.0.0.9"], "198.51.100.1"),
        (_PROXIES, "10.0.0.2", ["10.0.0.3"], "10.0.0.3"),
        (_PROXIES, "10.0.0.2", ["198.51.100.1, nonsense"], "10.0.0.2"),
        (_PROXIES, "10.0.0.2", [""], "10.0.0.2"),
        (_PROXIES, "::1", ["2001:db8::5"], "2001:db8::5"),
        (_PROXIES, "::ffff:10.0.0.2", ["198.51.100.1"], "198.51.100.1"),
        (_PROXIES, "10.0.0.2", [",".join(["10.0.0.9"] * 10_000)], "10.0.0.9"),
        (_PROXIES, "<local>", ["198.51.100.1"], ""),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_proxy(
    trusted: str, peer: str, forwarded_for: list[str], client: str
) -> None:
    assert ClientAddresses(trusted).behind(peer, forwarded_for) == client


def test_an_ipv6_subscriber_is_counted_as_one() -> None:
    assert counted_address("2001:db8:1:2:3::4") == counted_address("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert counted_address("198.51.100.1") == "198.51.100.1"
    assert counted_address("") == ""


def test_a_header_from_a_peer_that_is_not_trusted_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    addresses = ClientAddresses(_PROXIES)
    addresses.behind("203.0.113.7", [])
    addresses.behind("10.0.0.2", ["198.51.100.1"])
    assert caplog.records == []

    for _ in range(3):
        addresses.behind("203.0.113.7", ["198.51.100.1"])

    assert [record.message for record in caplog.records] == ["forwarded_for_not_trusted"]
    assert caplog.records[0].fields["peer"] == "203.0.113.7"  # type: ignore[attr-defined]  # of our log calls
