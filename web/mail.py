"""Letters to people, by SMTP and in the background: whoever causes one never waits for it, known or not.

`smtps://` encrypts from the first byte, `smtp://` by STARTTLS, which is required: without it nothing is sent. A relay
on this machine that has none is named with `?tls=none`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from aiosmtplib import SMTPException, send

from shared.errors import ConfigError, StoreUnavailable
from shared.settings import Settings
from shared.telemetry import fields

log = logging.getLogger(__name__)

_TIMEOUT_S = 20.0
_MOST_WAITING = 200  # letters; more are not sent, and the log says so
_AT_ONCE = 4
_LAST_LETTERS_S = 2.0  # for what is under way when the node ends
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Letter:
    to: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    sender: str
    tls: Literal["smtps", "starttls", "none"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def mail_server(settings: Settings) -> MailServer | None:
    """What the settings name, or None. Raises ConfigError, without a public address for the links too."""
    if settings.mail.url is None:
        return None
    if not settings.web.public_url:
        raise ConfigError("NUNMAL_MAIL__URL needs NUNMAL_WEB__PUBLIC_URL, which links in letters begin with")
    return parse_mail_url(settings.mail.url.get_secret_value())


def parse_mail_url(url: str) -> MailServer:
    """`smtp[s]://user:password@host:port?from=address`. Raises ConfigError, which does not repeat the password."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True))
        port = parts.port or _PORTS[parts.scheme]
        sender = options.pop("from")
        Address(addr_spec=sender)
        wants_none = parts.scheme == "smtp" and options.pop("tls", "") == "none"
        if options or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError
    except (ValueError, KeyError, IndexError) as error:
        expected = "smtp[s]://user:password@host:port?from=address (special characters percent-encoded)"
        raise ConfigError(f"NUNMAL_MAIL__URL is not {expected}") from error
    return MailServer(
        host=parts.hostname,
        port=port,
        sender=sender,
        tls="smtps" if parts.scheme == "smtps" else "none" if wants_none else "starttls",
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


class Outbox:
    """`server`: None where no mail is set up; then letters are not even written."""

    def __init__(self, server: MailServer | None, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._posting: set[asyncio.Task[None]] = set()

    @property
    def is_set_up(self) -> bool:
        return self._server is not None

    def post(self, write: Callable[[], Awaitable[Letter | None]]) -> None:
        """Write a letter and send it, later. `write` returns None where there is nobody to write to."""
        if self._server is None:
            return
        if len(self._posting) >= _MOST_WAITING:
            log.warning("mail_not_sent", extra=fields(reason="too many letters wait"))
            return
        task = asyncio.create_task(self._deliver(self._server, write))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def close(self) -> None:
        """Give what is under way a moment, then drop it."""
        if self._posting:
            _, late = await asyncio.wait(self._posting, timeout=_LAST_LETTERS_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _deliver(self, server: MailServer, write: Callable[[], Awaitable[Letter | None]]) -> None:
        try:
            async with self._turns:
                letter = await write()
                if letter is not None:
                    await self._send(server, letter)
        except (SMTPException, OSError, MessageError, ValueError, StoreUnavailable) as error:  # also of odd addresses
            log.warning("mail_not_sent", extra=fields(reason=type(error).__name__))

    async def _send(self, server: MailServer, letter: Letter) -> None:
        user, _, domain = letter.to.rpartition("@")
        receiver = Address(username=user, domain=domain)
        message = EmailMessage()
        message["From"] = server.sender
        message["To"] = receiver
        message["Subject"] = letter.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=server.sender.partition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        await send(
            message,
            sender=server.sender,
            recipients=[receiver.addr_spec],
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls == "smtps",
            start_tls=server.tls == "starttls",
            tls_context=self._tls,
            timeout=_TIMEOUT_S,
        )
