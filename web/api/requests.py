"""What clients send to /v1, as OpenAI defines it; /v1/openapi.json is made of these classes.

Null means: not given. What OpenAI knows and we cannot do takes only the values that change nothing (`Only`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.documents import MOST_COLLECTION_NAME_CHARACTERS, MOST_QUESTION_CHARACTERS
from web.api.fields import Body, Int64, Only, Penalty, Text, TokenLimit, TopK
from web.api.problems import ParametersConflict

MOST_CHOICES = 4
MOST_STOPS = 4
_MOST_STOP_CHARACTERS = 256
_MOST_MESSAGES = 2048
_MOST_METADATA = 16

Stop = Annotated[Text, Field(min_length=1, max_length=_MOST_STOP_CHARACTERS)]
Choices = Annotated[int, Field(ge=1, le=MOST_CHOICES)]


class TextPart(Body):
    type: Literal["text"]
    text: Text


class ImageUrl(Body):
    url: str = Field(description="data:image/...;base64,... of a PNG, JPEG, WebP or HEIC; nothing is ever fetched.")
    detail: Literal["auto", "low", "high"] | None = Field(None, description="Has no effect.")


class ImagePart(Body):
    """A picture of a user's message; it stands before the message's text."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ChatMessage(Body):
    """One turn. A client may send back what it was sent, with its nulls."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Part]
    name: Annotated[Any, Only()] = None
    refusal: Annotated[Any, Only()] = None
    audio: Annotated[Any, Only()] = None
    function_call: Annotated[Any, Only()] = None
    tool_calls: Annotated[Any, Only(([],))] = None
    tool_call_id: Annotated[Any, Only()] = None
    annotations: Annotated[Any, Only(([],))] = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> list[tuple[int, ImagePart]]:
        """With their places among the parts."""
        parts = [] if isinstance(self.content, str) else self.content
        return [(place, part) for place, part in enumerate(parts) if isinstance(part, ImagePart)]


class StreamOptions(Body):
    include_usage: bool | None = Field(None, description="Send a last chunk without choices that holds the usage.")
    include_obfuscation: Annotated[Any, Only((False,))] = None


class TextFormat(Body):
    type: Literal["text"]


class JsonObjectFormat(Body):
    type: Literal["json_object"]


class NamedSchema(Body):
    name: str = Field(pattern="^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema", description="A JSON Schema; none: any object.")
    strict: bool | None = Field(None, description="Answers keep to the schema in any case.")


class JsonSchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class _Sampled(Body):
    """What both kinds of completions share."""

    model: str = Field(description="As GET /v1/models lists it: the model, or `model:adapter`.")
    max_tokens: TokenLimit | None = Field(None, description="Most tokens of the answer.")
    temperature: float | None = Field(None, ge=0, le=2, description="0: the likeliest token. Null: the model's own.")
    top_p: float | None = Field(None, ge=0, le=1)
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    top_k: TopK | None = Field(None, description="Not OpenAI's: draw from the k likeliest tokens; 0 or -1: from all.")
    min_p: float | None = Field(
        None, ge=0, le=1, description="Not OpenAI's: no token less likely than this share of the likeliest one."
    )
    repetition_penalty: float | None = Field(
        None, ge=0.01, le=2, description="Not OpenAI's: divides the logits of tokens of prompt and answer; 1: off."
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = Field(
        None, description="The answer ends before the first of these."
    )
    seed: Int64 | None = Field(None, description="The same request with the same seed gets the same words.")
    user: str | None = Field(None, description="Has no effect.")
    logit_bias: Annotated[Any, Only(({},))] = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class _Chat(_Sampled):
    """What a chat completion and a job share."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=_MOST_MESSAGES)
    max_completion_tokens: TokenLimit | None = Field(None, description="The newer name of max_tokens.")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    metadata: Annotated[dict[str, str], Field(max_length=_MOST_METADATA)] | None = Field(
        None, description="Has no effect."
    )
    safety_identifier: str | None = Field(None, description="Has no effect.")
    prompt_cache_key: str | None = Field(None, description="Has no effect.")
    prompt_cache_retention: str | None = Field(None, description="Has no effect.")
    parallel_tool_calls: bool | None = Field(None, description="Has no effect.")
    tools: Annotated[Any, Only(([],))] = None
    tool_choice: Annotated[Any, Only(("none", "auto"))] = None
    functions: Annotated[Any, Only(([],))] = None
    function_call: Annotated[Any, Only(("none", "auto"))] = None
    modalities: Annotated[Any, Only((["text"],))] = None
    audio: Annotated[Any, Only()] = None
    prediction: Annotated[Any, Only()] = None
    web_search_options: Annotated[Any, Only()] = None
    moderation: Annotated[Any, Only()] = None
    prompt_cache_options: Annotated[Any, Only()] = None
    reasoning_effort: Annotated[Any, Only(("none",))] = None
    verbosity: Annotated[Any, Only(("medium",))] = None
    store: Annotated[Any, Only((False,))] = None
    service_tier: Annotated[Any, Only(("auto", "default"))] = None

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def check(self) -> None:
        """What one field alone cannot tell. Raises ParameterInvalid."""
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ParametersConflict(param="max_tokens", other="max_completion_tokens")
        if self.top_logprobs is not None and not self.logprobs:
            raise ParametersConflict(param="top_logprobs", other="logprobs")


class ChatCompletionRequest(_Chat):
    """The body of POST /v1/chat/completions."""

    n: Choices | None = Field(None, description="How many answers; with a seed, the second has seed + 1, and so on.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def check(self) -> None:
        super().check()
        _check_stream(self.stream, self.stream_options)


class JobRequest(_Chat):
    """The body of POST /v1/jobs: a chat completion that is fetched later."""

    priority: Literal["interactive", "bulk"] | None = Field(
        None, description="bulk: after everybody who waits for an answer."
    )
    n: Annotated[Any, Only((1,))] = None
    stream: Annotated[Any, Only((False,))] = None


class AskRequest(Body):
    """The body of POST /v1/documents/ask."""

    question: Annotated[Text, Field(min_length=1, max_length=MOST_QUESTION_CHARACTERS)]
    documents: list[str] | None = Field(
        None, min_length=1, max_length=100, description="Ids of documents; without it all that are ready are asked."
    )
    collection: str | None = Field(None, description="Id of a collection: what lies in it is asked, and nothing else.")
    write: bool = Field(False, description="Let a model write an answer from what is found, where one is set up.")

    def check(self) -> None:
        if self.documents is not None and self.collection is not None:
            raise ParametersConflict(param="documents", other="collection")


class CollectionRequest(Body):
    """The body of POST /v1/documents/collections, and of POST /v1/documents/collections/{collection}."""

    name: Annotated[Text, Field(min_length=1, max_length=MOST_COLLECTION_NAME_CHARACTERS)]


class CanaryRequest(Body):
    """The body of POST /v1/adapters/{version}/canary."""

    percent: float = Field(ge=0, le=100, description="Of conversations and requests; 0 ends it.")


class OverrideRequest(Body):
    """The body of POST /v1/adapters/{version}/override."""

    reason: Text = Field(description="Kept beside the version, its hash in the audit chain.")


class CompletionRequest(_Sampled):
    """The body of POST /v1/completions: text to go on with, as it is, without the model's chat template."""

    prompt: (
        Annotated[Text, Field(min_length=1)]
        | Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1, max_length=1)]
    )
    n: Choices | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: int | None = Field(None, ge=0, le=5)
    best_of: Annotated[Any, Only((1,))] = None
    echo: Annotated[Any, Only((False,))] = None
    suffix: Annotated[Any, Only(("",))] = None

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]

    def check(self) -> None:
        _check_stream(self.stream, self.stream_options)


def _check_stream(stream: bool | None, options: StreamOptions | None) -> None:
    if options is not None and not stream:
        raise ParametersConflict(param="stream_options", other="stream")
