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


class IngestDocument(_Wire):
    """Command, web -> the ingest lane: a permit to read the next waiting document, usually this one."""

    kind: Literal["ingest_document"] = "ingest_document"
    document_id: str


class ReindexDocument(_Wire):
    """Command, an operator's -> the lane for it: a permit to index the next waiting document anew, usually this one."""

    kind: Literal["reindex_document"] = "reindex_document"
    document_id: str


class DigestArticle(_Wire):
    """Command, web -> the digest lane: a permit to digest the next waiting article, usually this one."""

    kind: Literal["digest_article"] = "digest_article"
    digest_id: str


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
    state: Literal["held", "queued", "running", "done", "stopped", "failed"]  # held: nobody tells of it


class AdapterPublished(_Wire):
    """Event, command or web -> all workers: what is in use of this adapter has changed or will; the store says how.

    A hint: who misses it sees the same when it next compares with the store.
    """

    kind: Literal["adapter_published"] = "adapter_published"
    adapter: str  # its name


Permit = GenerateReply | IngestDocument | ReindexDocument | DigestArticle
Control = CancelGeneration | WatchGeneration | AdapterPublished
NodeEvent = Annotated[TokensGenerated | GenerationChanged, Field(discriminator="kind")]
AnyMessage = Annotated[
    GenerateReply
    | IngestDocument
    | ReindexDocument
    | DigestArticle
    | CancelGeneration
    | WatchGeneration
    | TokensGenerated
    | GenerationChanged
    | AdapterPublished,
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
