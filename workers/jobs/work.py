"""What a kind of job has to bring (`JobWork`); the rest is the same for all."""

from __future__ import annotations

from typing import Protocol, TypeVar

from shared.errors import NunmalError
from shared.job_kinds import JobKind
from shared.jobs import Job

J = TypeVar("J", bound=Job, contravariant=True)


class Lost(Exception):
    """Somebody else has this job now, or its owner has removed it."""


class JobWork(Protocol[J]):
    """`refusals`: what ends a job for good; `too_many_attempts` is one of them."""

    kind: JobKind
    name: str  # of workers that do it, for operators
    slots: int  # jobs at once: 1 where a job keeps a core busy, more where it waits for others
    refusals: tuple[type[NunmalError], ...]
    too_many_attempts: type[NunmalError]

    async def do(self, job: J) -> None:
        """To its end, which is in the store afterwards. Raises Lost, one of `refusals`, ServiceError."""
        ...

    def ended(self, outcome: str) -> None:
        """Count it: `ready`, or an error code."""
        ...


def require(is_ours: bool) -> None:
    """What a fenced write says. Raises Lost."""
    if not is_ours:
        raise Lost
