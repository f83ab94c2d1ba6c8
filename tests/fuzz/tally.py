"""What was sent and what came back: counted, and looked through for what must never come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from tests.fuzz.wire import Answer

_MOST_EXAMPLES = 4  # of each kind
_MOST_SHOWN = 600
_OUTSIDE = re.compile(r"^([a-z][a-z0-9+.-]*:|[/\\]{2})", re.IGNORECASE)


@dataclass
class Tally:
    """`secrets`: words that only one person may see; `address`: where redirects may lead."""

    address: str
    secrets: Collection[bytes] = ()
    requests: int = 0
    foreign_reads: int = 0
    scripts_run: int = 0
    tracebacks: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)  # faults that build/fuzz.json has no number for
    examples: list[str] = field(default_factory=list)
    _examples: Counter[str] = field(default_factory=Counter)

    @property
    def status_5xx(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= 500)

    @property
    def is_clean(self) -> bool:
        return not (self.status_5xx or self.tracebacks or self.scripts_run or self.foreign_reads or self.others.total())

    def see(self, request: bytes, answer: Answer, *, owns_secrets: bool = False) -> Answer:
        """One exchange of bytes; `owns_secrets`: it was sent by who may see the secret words."""
        self.requests += 1
        self.statuses[answer.status] += 1
        if answer.status >= 500:
            self.note("5xx", request, answer)
        if not owns_secrets and any(secret in answer.body for secret in self.secrets):
            self.foreign("a secret word", request, answer)
        location = answer.header("location")
        if _OUTSIDE.match(location) and not location.startswith(f"{self.address}/"):
            self.fault("a redirect to another site", request, answer)
        if answer.header("x-injected"):
            self.fault("a header of the sender's", request, answer)
        if b"Traceback (most recent" in answer.body:
            self.fault("a traceback in a page", request, answer)
        return answer

    def foreign(self, what: str, request: bytes, answer: Answer) -> None:
        self.foreign_reads += 1
        self.note("foreign", what.encode() + b": " + request, answer)

    def script(self, what: str) -> None:
        self.scripts_run += 1
        self._example("script", what)

    def fault(self, what: str, request: bytes = b"", answer: Answer | None = None) -> None:
        self.others[what] += 1
        self.note(what, request, answer or Answer(0))

    def note(self, what: str, request: bytes, answer: Answer) -> None:
        sent, came = request[:_MOST_SHOWN], answer.body[:_MOST_SHOWN]
        self._example(what, f"{sent!r} got {answer.status} {answer.header('location')} {came!r}")

    def _example(self, what: str, line: str) -> None:
        self._examples[what] += 1
        if self._examples[what] <= _MOST_EXAMPLES:
            self.examples.append(f"{what}: {line}")
