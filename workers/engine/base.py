"""What a worker asks of an engine. Token ids in, token ids out: an engine knows nothing of text, queues or people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from shared.adapters.base import BaseDescription
from workers.engine.facts import AdapterFacts

FinishReason = Literal["stop", "length", "cancelled", "error"]
Mask = npt.NDArray[np.bool_]


class GrammarState(Protocol):
    """Where one answer stands in its grammar: a function of its tokens alone."""

    @property
    def is_complete(self) -> bool:
        """Nothing more may follow: the answer is over."""
        ...

    def allowed(self) -> Mask:
        """Which tokens (vocabulary,) may come next. Raises GenerationError."""
        ...

    def settle(self, token_id: int, left: int) -> int:
        """This allowed token, or the one to take instead lest the answer cannot be complete within `left` tokens."""
        ...

    def accept(self, token_ids: Sequence[int]) -> None:
        """These came, each allowed at its place. Raises GenerationError."""
        ...


class Grammar(Protocol):
    """Which answers are allowed."""

    def begin(self, generated: Sequence[int]) -> GrammarState:
        """The state after these tokens. Raises GenerationError."""
        ...


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A grammar for an engine in another process, which compiles it there: compact JSON of this schema (JSON text)."""

    schema: str


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Of one digest there is one picture."""

    digest: str
    pixels: npt.NDArray[np.float32]  # (3, height, width), as the model's own processor prepares it


@dataclass(frozen=True, slots=True)
class PictureNotes:
    """What is told of a picture beside its pixels."""

    token_ids: tuple[int, ...] = ()  # follow the picture in the prompt
    findings: object = None  # for whoever makes the evidence of an answer (workers/served_model.py)


@dataclass(frozen=True, slots=True)
class Looked:
    """A picture ready to be shown."""

    picture: Picture
    notes: PictureNotes = PictureNotes()


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence to continue.

    `generated` are the answer's tokens of an earlier attempt; sampling goes on at index len(generated). `pictures` are
    shown where the prompt has the model's placeholder (PictureFacts), in this order.
    """

    id: str
    prompt: tuple[int, ...]
    generated: tuple[int, ...]
    seed: int
    temperature: float  # 0 is greedy
    top_p: float
    top_k: int  # 0: off
    max_new_tokens: int  # in all, `generated` included
    frequency_penalty: float = 0.0  # taken off a token's logit for each time it is in the answer already
    presence_penalty: float = 0.0  # taken off once if it is
    logprobs: int | None = None  # how many of the likeliest tokens to tell beside the chosen one; None: no logprobs
    grammar: Grammar | JsonSchema | None = None
    adapter: str | None = None  # the name of a loaded one; None: the model alone
    min_p: float = 0.0  # tokens less likely than this share of the likeliest one's probability are not drawn
    repetition_penalty: float = 1.0  # divides the logits of tokens of prompt and answer (workers/engine/steering.py)
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Of one place of an answer, under the model's own distribution: before penalties, grammar and temperature."""

    chosen: float
    top: tuple[tuple[int, float], ...]  # token ids and their logprobs, likeliest first; none of probability 0


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """What one step gave one request. The last event of a request has a `finish_reason`."""

    token_id: int | None  # None when the request ends without a further token
    finish_reason: FinishReason | None = None
    error: Exception | None = None  # with finish_reason "error": a NunmalError
    logprobs: Logprobs | None = None  # of `token_id`, if the request asked for them


@dataclass(frozen=True, slots=True)
class EngineStats:
    running: int
    waiting: int
    slots: int
    kv_blocks: int = 0  # of memory for keys and values, in all; an engine that has none of its own says 0
    kv_blocks_held: int = 0
    preemptions: int = 0  # answers that had to wait again for memory, since the start
    prompt_tokens: int = 0  # of requests that began, since the start
    shared_tokens: int = 0  # of these, what was computed before and not again
    adapters: frozenset[str] = frozenset()  # that running and waiting requests name


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

    @property
    def lost(self) -> asyncio.Event:
        """Set when it has ended although nobody closed it: running requests end with EngineLost, as do later ones."""
        ...

    def submit(self, request: Request) -> TokenStream:
        """Starts at once; events until the one with a finish reason. A request that cannot run (too long, empty,
        token id out of range) ends with "error" alone; the others go on. `aclose` cancels the request."""
        ...

    def cancel(self, request_id: str) -> None:
        """Its slot is free after the current step; its iterator ends with "cancelled". Unknown ids are ignored."""
        ...

    def stats(self) -> EngineStats: ...

    @property
    def base(self) -> BaseDescription | None:
        """What adapters must fit; None: it takes none."""
        ...

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """Those that requests may name."""
        ...

    async def load_adapter(self, name: str, directory: Path) -> AdapterFacts:
        """Between two steps; running requests go on, those of an older one of this name with that.

        Raises AdapterRefused, and EngineLost.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """No new request may name it; running ones go on. Raises AdapterUnknown, and EngineLost."""
        ...

    async def drain(self) -> None:
        """Return when no request is left; new ones end with "cancelled" at once."""
        ...

    async def close(self) -> None:
        """Stop after the current step; running requests end with "cancelled"."""
        ...
