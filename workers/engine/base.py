"""What a worker asks of an engine. Token ids in, token ids out: an engine knows nothing of text, queues or people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence to continue.

    `generated` are the answer's tokens of an earlier attempt; sampling goes on at index len(generated).
    """

    id: str
    prompt: tuple[int, ...]
    generated: tuple[int, ...]
    seed: int
    temperature: float  # 0 is greedy
    top_p: float
    top_k: int  # 0: off
    max_new_tokens: int  # in all, `generated` included


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """What one step gave one request. The last event of a request has a `finish_reason`."""

    token_id: int | None  # None when the request ends without a further token
    finish_reason: FinishReason | None = None
    error: Exception | None = None  # with finish_reason "error": a NunmalError


@dataclass(frozen=True, slots=True)
class EngineStats:
    running: int
    waiting: int
    slots: int


class TokenStream(Protocol):
    """The events of one request. Use it as `async with aclosing(engine.submit(request)) as events:`."""

    def __aiter__(self) -> AsyncIterator[TokenEvent]: ...

    async def __anext__(self) -> TokenEvent: ...

    async def aclose(self) -> None:
        """Nobody listens any more: the request is cancelled. May be called twice."""
        ...


class Engine(Protocol):
    """Kept by every engine (tests/contract/test_engine.py)."""

    @property
    def model_digest(self) -> str:
        """Names weights, tokenizer and chat template: same digest, same tokens."""
        ...

    @property
    def context_length(self) -> int:
        """Most tokens a prompt and its answer may have together."""
        ...

    def submit(self, request: Request) -> TokenStream:
        """Starts at once; events until the one with a finish reason. A request that cannot run (too long, empty,
        token id out of range) ends with "error" alone; the others go on. `aclose` cancels the request."""
        ...

    def cancel(self, request_id: str) -> None:
        """Its slot is free after the current step; its iterator ends with "cancelled". Unknown ids are ignored."""
        ...

    def stats(self) -> EngineStats: ...

    async def close(self) -> None:
        """Stop after the current step; running requests end with "cancelled"."""
        ...
