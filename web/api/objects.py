"""What /v1 answers, as OpenAI defines it, and our jobs; /v1/openapi.json is made of these classes.

A field without a default is always sent, null or not.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FinishReason = Literal["stop", "length"]
JobStatus = Literal["queued", "running", "done", "stopped", "failed"]


class ApiObject(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def sent(self) -> str:
        """As JSON; what was never set is left out."""
        return self.model_dump_json(exclude_unset=True)


class Error(ApiObject):
    message: str = Field(description="For people: Korean, or English if Accept-Language asks for it.")
    type: Literal[
        "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"
    ]
    param: str | None
    code: str


class ErrorBody(ApiObject):
    error: Error


class Usage(ApiObject):
    """In tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class LikelyToken(ApiObject):
    token: str
    bytes: list[int]
    logprob: float


class ToldToken(LikelyToken):
    top_logprobs: list[LikelyToken]


class ChatLogprobs(ApiObject):
    content: list[ToldToken]
    refusal: None


class AssistantMessage(ApiObject):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(ApiObject):
    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(ApiObject):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChatChoice]
    usage: Usage


class Delta(ApiObject):
    role: Literal["assistant"] | None = None
    content: str | None = None


class DeltaChoice(ApiObject):
    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = Field(description="Of the tokens whose text begins in this delta.")
    finish_reason: FinishReason | None


class ChatCompletionChunk(ApiObject):
    """One `data:` line of a streamed chat completion. The last line is `data: [DONE]`, or an ErrorBody."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[DeltaChoice]
    usage: Usage | None = None


class TextLogprobs(ApiObject):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(ApiObject):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: FinishReason | None


class Completion(ApiObject):
    """Also one `data:` line of a streamed completion; while it streams, finish_reason is null until the end."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[TextChoice]
    usage: Usage | None = None


class Model(ApiObject):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: str | None


class ModelList(ApiObject):
    object: Literal["list"]
    data: list[Model]


class Place(ApiObject):
    """Where a job waits. `wait_s` is null while nothing was measured."""

    ahead: int
    wait_s: float | None


class Job(ApiObject):
    id: str
    object: Literal["job"]
    completion_id: str = Field(description="The same answer as OpenAI names it.")
    status: JobStatus
    priority: Literal["interactive", "bulk"]
    model: str
    created: int
    finished: int | None
    place: Place | None
    text: str = Field(description="What is written so far; whole when the job is over.")
    result: ChatCompletion | Completion | None = Field(description="Once it is done or stopped.")
    error: Error | None
    status_url: str
    stream_url: str
    cancel_url: str


class JobList(ApiObject):
    object: Literal["list"]
    data: list[Job]


class JobState(ApiObject):
    """Event `state` of a job's stream."""

    status: Literal["queued", "running"]
    place: Place | None


class JobText(ApiObject):
    """Event `text`, with id `attempt.end`: cut what you have to `offset` code points, append `text`."""

    offset: int
    text: str
