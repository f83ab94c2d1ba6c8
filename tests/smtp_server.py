"""A real SMTP server on loopback that keeps what it is given, with or without STARTTLS and log-in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LETTER_WITHIN_S = 10.0


class SmtpServer:
    """`letters`: in the order in which they came."""

    def __init__(self) -> None:
        self.port = 0
        self.letters: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self.receivers: list[str] = []
        self.log_ins: list[tuple[bytes, bytes]] = []

    async def letter(self) -> EmailMessage:
        async with asyncio.timeout(_LETTER_WITHIN_S):
            return await self.letters.get()

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.receivers += envelope.rcpt_tos
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.letters.put_nowait(message)
        return "250 OK"

    def log_in(self, server: SMTP, session: Any, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.log_ins.append((data.login, data.password))
        return AuthResult(success=True)


@contextlib.asynccontextmanager
async def smtp_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[SmtpServer]:
    """With `tls`, it takes letters after STARTTLS and a log-in only."""
    smtp = SmtpServer()
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if tls:
        options = {"tls_context": tls, "require_starttls": True, "auth_required": True, "authenticator": smtp.log_in}
    server = await loop.create_server(
        lambda: SMTP(smtp, hostname="localhost", enable_SMTPUTF8=True, loop=loop, **options), "127.0.0.1", 0
    )
    smtp.port = server.sockets[0].getsockname()[1]
    try:
        yield smtp
    finally:
        server.close()


def tls_contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server on 127.0.0.1 with a certificate of its own, and for clients that trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = directory / "certificate.pem", directory / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem, key_pem)
    return server, ssl.create_default_context(cafile=str(pem))
