"""Who sends the request at hand: the browser's name for itself, and the address it comes from."""

from __future__ import annotations

from quart import request

from web.auth.accounts import Client
from web.auth.address import ClientAddresses
from web.security import Cookie


class Clients:
    def __init__(self, addresses: ClientAddresses, device_cookie: Cookie) -> None:
        self._addresses = addresses
        self._device_cookie = device_cookie

    def address(self) -> str:
        return self._addresses.of(request)

    def current(self) -> Client:
        return Client(self.address(), request.headers.get("User-Agent", ""), self._device_cookie.read(request))
