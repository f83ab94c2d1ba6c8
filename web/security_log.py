"""What attacks leave behind: who was let in and who was refused, in the log and as a counter to alert on.

A line has ids and the client's address, never an e-mail address, a name or what was typed. Log-ins are at level info,
refusals are warnings.
"""

from __future__ import annotations

import logging
from enum import StrEnum

from quart import g, has_request_context

from shared.metrics import SECURITY_EVENTS
from shared.telemetry import fields

log = logging.getLogger(__name__)


class SecurityEvent(StrEnum):
    """Names of log lines, and the counter's label."""

    LOGGED_IN = "logged_in"
    LOG_IN_REFUSED = "log_in_refused"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105 - of somebody who is logged in
    CODE_REFUSED = "code_refused"
    CODE_REUSED = "code_reused"
    TRY_THROTTLED = "try_throttled"
    KEY_REFUSED = "key_refused"
    SCOPE_REFUSED = "scope_refused"
    ROLE_REFUSED = "role_refused"
    CSRF_REFUSED = "csrf_refused"


for _event in SecurityEvent:
    SECURITY_EVENTS.labels(_event.value)  # from 0, so that the first one is seen as a rise


def note(event: SecurityEvent, **facts: str) -> None:
    """`facts`: ids and names of ours; what is empty is left out."""
    SECURITY_EVENTS.labels(event.value).inc()
    if has_request_context():
        facts["address"] = g.get("address", "")
    level = logging.INFO if event is SecurityEvent.LOGGED_IN else logging.WARNING
    log.log(level, event.value, extra=fields(**{name: fact for name, fact in facts.items() if fact}))
