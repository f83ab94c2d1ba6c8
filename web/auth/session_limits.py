"""How long a log-in lasts: an operator's is short, other people's are long.

People keep a chat open for weeks, and a stolen session of theirs gives no more than reading and writing there: a new
password, the second step, a key, and leaving ask for the password (and code) again. An operator's opens doors of the
house, so it ends as OWASP ASVS 4.0 (3.3.2, level 2) says: after 12 hours, or 30 minutes without use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from shared.chat import AccountRole


@dataclass(frozen=True, slots=True)
class SessionLimit:
    """`lifetime`: from its log-in; `idle`: without use, of which up to five minutes may go unnoticed."""

    lifetime: timedelta
    idle: timedelta


@dataclass(frozen=True, slots=True)
class SessionLimits:
    people: SessionLimit
    operators: SessionLimit

    def of(self, role: AccountRole) -> SessionLimit:
        """Of a log-in that begins now. It keeps them; a change of the role ends it."""
        if role is not AccountRole.OPERATOR:
            return self.people
        # A house that is stricter with everybody is not more lenient with operators.
        return SessionLimit(
            min(self.operators.lifetime, self.people.lifetime), min(self.operators.idle, self.people.idle)
        )
