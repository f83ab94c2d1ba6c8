"""What guards every page: response headers, cookies and CSRF tokens, each defined here only."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from quart import Request, Response

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HTTPS_ONLY = "max-age=31536000"  # a year; other names of the domain are not ours to bind


def harden(response: Response, *, is_https: bool) -> Response:
    """Add the headers; pages are never cached, and name themselves to us, unless their route said otherwise."""
    if is_https:
        response.headers["Strict-Transport-Security"] = _HTTPS_ONLY
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response


class Csrf:
    """Tokens bound to one visitor's secret (session token, or the visitor cookie before log-in)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, secret: str) -> str:
        return hmac.new(self._key, b"csrf\0" + secret.encode(), hashlib.sha256).hexdigest()

    def is_valid(self, secret: str, token: str) -> bool:
        return bool(secret) and hmac.compare_digest(self.token(secret).encode(), token.encode())


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of ours: HttpOnly, SameSite=Lax, and behind https Secure with the __Host- prefix."""

    name: str
    secure: bool
    max_age_s: int

    @property
    def full_name(self) -> str:
        return f"__Host-{self.name}" if self.secure else self.name

    def read(self, request: Request) -> str:
        """Its value, or "" if there is none."""
        return request.cookies.get(self.full_name, "")

    def write(self, response: Response, value: str) -> None:
        response.set_cookie(
            self.full_name,
            value,
            max_age=self.max_age_s,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="Lax",
        )

    def forget(self, response: Response) -> None:
        response.delete_cookie(self.full_name, path="/", secure=self.secure, httponly=True, samesite="Lax")
