"""What kinds of job have in common whose work is no answer of a model: reading documents, digesting articles.

A job is one document of the store that waits in a lane. Its states are the same ones in every kind; what else a kind
knows of its jobs is in its own module.
"""

from __future__ import annotations

from typing import Protocol

WAITING, READING, FAILED = "waiting", "reading", "failed"


class Job(Protocol):
    """What a claim tells. `tag`: its start tag in the lane; `stalled`: attempts in a row that came to nothing."""

    @property
    def id(self) -> str: ...

    @property
    def tag(self) -> float: ...

    @property
    def attempt(self) -> int: ...

    @property
    def stalled(self) -> int: ...

    @property
    def worker_id(self) -> str | None: ...
