"""Every message that crosses the broker, versioned.

Strict when sent (a wrong field is an error here), tolerant when read (unknown fields are ignored), so a newer
sender may add optional fields. Any other change is a new `version`; one example file per kind and version lies
in tests/contract/messages/ and is decoded by a test. JSON, never pickle.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.errors import NunmalError


class MessageUnreadable(NunmalError):
    """Bytes from the broker that are no message we know."""

    code = "message_unreadable"


def _now() -> datetime:
    return datetime.now(UTC)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    version: Literal[1] = 1
    sent_at: datetime = Field(default_factory=_now)


class GenerateReply(_Wire):
    """Command, web -> lane queue: a permit to claim the lane's next waiting generation, usually this one."""

    kind: Literal["generate_reply"] = "generate_reply"
    generation_id: str


class CancelGeneration(_Wire):
    """Command, web -> all workers: free the slot of this generation within one step."""

    kind: Literal["cancel_generation"] = "cancel_generation"
    generation_id: str


class WatchGeneration(_Wire):
    """Command, web -> the worker that holds it: send frames to `node_id` too, beginning at `offset`."""

    kind: Literal["watch_generation"] = "watch_generation"
    generation_id: str
    node_id: str
    offset: int = Field(ge=0)  # code points the node already has


class FrameToken(BaseModel):
    """How likely a token was, of an answer that was asked for with logprobs."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64"
    )

    start: int = Field(ge=0)  # where its text begins in the answer, in code points
    spelled: bytes  # of its text, which may begin or end inside a character
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


class Frame(BaseModel):
    """A piece of one answer. The reader cuts its copy to `offset` code points and appends `text`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    generation_id: str
    attempt: int = Field(ge=1)
    offset: int = Field(ge=0)
    text: str
    tokens: tuple[FrameToken, ...] = ()  # those that begin in `text`, if logprobs were asked for


class TokensGenerated(_Wire):
    """Event, worker -> web node: what all streams of that node gained in about 20 ms."""

    kind: Literal["tokens_generated"] = "tokens_generated"
    worker_id: str
    frames: tuple[Frame, ...]


class GenerationChanged(_Wire):
    """Event, worker or web -> web node: this generation was claimed or ended; the store holds the truth."""

    kind: Literal["generation_changed"] = "generation_changed"
    generation_id: str
    attempt: int = Field(ge=0)
    state: Literal["queued", "running", "done", "stopped", "failed"]


class AdapterPublished(_Wire):
    """Event, command or web -> all workers: a roll-out of this version has begun; the store holds the truth.

    A hint: who misses it sees the same when it next compares with the store.
    """

    kind: Literal["adapter_published"] = "adapter_published"
    adapter: str  # `name@12hex`
    rollout_id: str


class AdapterTested(_Wire):
    """Event, worker -> whoever settles the roll-out: this worker is done with it, well or not; the store says which."""

    kind: Literal["adapter_tested"] = "adapter_tested"
    adapter: str
    rollout_id: str
    worker_id: str


class AliasMoved(_Wire):
    """Event, whoever settled -> all workers: what this name means has changed, or what is to be kept loaded for it."""

    kind: Literal["alias_moved"] = "alias_moved"
    name: str


Permit = GenerateReply
Control = Annotated[CancelGeneration | WatchGeneration, Field(discriminator="kind")]
NodeEvent = Annotated[TokensGenerated | GenerationChanged, Field(discriminator="kind")]
AnyMessage = Annotated[
    GenerateReply
    | CancelGeneration
    | WatchGeneration
    | TokensGenerated
    | GenerationChanged
    | AdapterPublished
    | AdapterTested
    | AliasMoved,
    Field(discriminator="kind"),
]

_ANY: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """UTF-8 JSON."""
    return message.model_dump_json().encode()


def decode(body: bytes) -> AnyMessage:
    """Raises MessageUnreadable for anything that is not one of our messages."""
    try:
        return _ANY.validate_json(body)
    except ValidationError as error:
        raise MessageUnreadable(f"not a message of ours: {error.error_count()} errors") from error
