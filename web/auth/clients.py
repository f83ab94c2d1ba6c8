"""Who sends the request at hand: the browser's name for itself, and the address it comes from."""

from __future__ import annotations

from quart import request

from web.auth.accounts import Client
from web.auth.address import ClientAddresses


class Clients:
    def __init__(self, addresses: ClientAddresses) -> None:
        self._addresses = addresses

    def current(self) -> Client:
        return Client(self._addresses.of(request), request.headers.get("User-Agent", ""))
