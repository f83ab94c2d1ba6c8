"""What a worker and its engine's process say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shared.adapters.base import BaseDescription
from shared.errors import NunmalError
from shared.settings import WorkerSettings
from workers.engine.base import EngineStats, Looked, TokenEvent
from workers.engine.facts import AdapterFacts, ModelFacts
from workers.engine.sampling_defaults import SamplingDefaults


@dataclass(frozen=True, slots=True)
class Order:
    """The first message to the process: what to open."""

    source: str  # a directory or a hub id
    settings: WorkerSettings
    log_format: Literal["text", "json"]
    log_level: str


@dataclass(frozen=True, slots=True)
class Opened:
    """Its first answer, if that is no error."""

    facts: ModelFacts
    tokenizer: Any  # a Hugging Face tokenizer: opened there, because that takes PyTorch along
    sampling: SamplingDefaults
    stop_text: str | None  # the answer ends before this text
    numerics: str  # device and precision, and why
    base: BaseDescription  # what adapters must fit
    sees: bool = False  # it can be asked to look


@dataclass(frozen=True, slots=True)
class Cancel:
    """Requests are sent as they are (base.Request); this ends one."""

    request_id: str


@dataclass(frozen=True, slots=True)
class LoadAdapter:
    """Answered by what it is known by, or why it was refused, under this key."""

    key: str
    name: str
    directory: Path


@dataclass(frozen=True, slots=True)
class UnloadAdapter:
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Look:
    """Answered by what a request may show, or why not, under this key. Beside the steps, in a thread of its own."""

    key: str
    sha256: str
    data: bytes  # a picture as it is kept


Asked = LoadAdapter | UnloadAdapter | Look
Answer = AdapterFacts | Looked | NunmalError | None


@dataclass(slots=True)
class Step:
    """What happened in the engine since the last one."""

    rows: int = 0  # answers that got a token beside prompts that were read
    tokens: list[int] = field(default_factory=list)  # that each step since then computed
    events: list[tuple[str, TokenEvent]] = field(default_factory=list)  # with the requests' ids
    answers: list[tuple[str, Answer]] = field(default_factory=list)  # by the keys of what was asked
    stats: EngineStats | None = None
