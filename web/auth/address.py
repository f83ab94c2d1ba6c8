"""Where a request comes from: the peer, or what proxies of ours say. Anybody may write X-Forwarded-For."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from quart import Request

from shared.telemetry import fields

log = logging.getLogger(__name__)

_MOST_HOPS = 20  # read from the right
_SETTING = "NUNMAL_WEB__TRUSTED_PROXIES"
_HOUSEHOLD_BITS = 64  # an IPv6 subscriber has a whole network

_Address = IPv4Address | IPv6Address


class ClientAddresses:
    """`trusted_proxies`: networks with commas between; their X-Forwarded-For is believed, from the right."""

    def __init__(self, trusted_proxies: str) -> None:
        names = [name.strip() for name in trusted_proxies.split(",")]
        self._trusted = tuple(ip_network(name, strict=False) for name in names if name)
        self._has_warned = False

    def of(self, request: Request) -> str:
        """The client's address as text; "" if there is none, as on a local socket."""
        return self.behind(request.remote_addr or "", request.headers.getlist("X-Forwarded-For"))

    def behind(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The right-most address that is no trusted proxy; the last one that is, where nothing better is said."""
        client = _parse(peer)
        if forwarded_for and not self._has_warned and not (client and self._is_trusted(client)):
            # Once: a forgotten setting makes all people one address, and a stranger's header must not fill the log.
            log.warning("forwarded_for_not_trusted", extra=fields(peer=str(client or ""), setting=_SETTING))
            self._has_warned = True
        hops = ",".join(forwarded_for).rsplit(",", _MOST_HOPS)[-_MOST_HOPS:] if forwarded_for else []
        while client is not None and hops and self._is_trusted(client):
            hop = _parse(hops.pop())
            if hop is None:
                break
            client = hop
        return str(client) if client else ""

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def counted_address(address: str) -> str:
    """What tries are counted by: the address, or the network of an IPv6 subscriber."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _HOUSEHOLD_BITS), strict=False))
    return address


def _parse(text: str) -> _Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
