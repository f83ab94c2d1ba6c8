"""The values of a conversation. Pure data: nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from shared.documents import Source
from shared.evidence import Evidence


class Role(StrEnum):
    """Who speaks in a prompt."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class AccountRole(StrEnum):
    """What an account may do: talk; train adapters; run the house."""

    USER = "user"
    RESEARCHER = "researcher"
    OPERATOR = "operator"


class GenerationState(StrEnum):
    """queued -> running -> done | stopped | failed. A worker's death leads back from running to running. What was asked
    before the answer before it had ended is held until then, and is in no line."""

    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (GenerationState.DONE, GenerationState.STOPPED, GenerationState.FAILED)

    def shown(self, attempt: int) -> GenerationState:
        """What people see: `queued` means never begun; an answer that waits for another worker reads as running."""
        if self is GenerationState.HELD:
            return GenerationState.QUEUED
        return GenerationState.RUNNING if self is GenerationState.QUEUED and attempt > 0 else self


class JobClass(IntEnum):
    """Who goes first: somebody who waits in front of a page, before work that nobody watches."""

    INTERACTIVE = 0
    BULK = 1


class Origin(StrEnum):
    """Through which door a question came."""

    PAGE = "page"
    CHAT = "chat.completion"  # POST /v1/chat/completions
    TEXT = "text_completion"  # POST /v1/completions
    JOB = "job"  # POST /v1/jobs
    COMPARISON = "comparison"  # one of two answers that a person compares
    DIGEST = "digest"  # what a digest of an article asks
    DOCUMENT = "document"  # what a person asks their documents

    @property
    def is_api(self) -> bool:
        return self not in (Origin.PAGE, Origin.COMPARISON, Origin.DIGEST, Origin.DOCUMENT)


@dataclass(frozen=True, slots=True)
class PictureRef:
    """A picture that a turn shows: its own id, and the blob it is."""

    id: str
    sha256: str
    width: int  # pixels
    height: int
    alt: str = ""  # what its owner calls it


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a prompt. Its pictures stand before its text."""

    role: Role
    content: str
    pictures: tuple[PictureRef, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen. None means: the model's own default (its generation_config)."""

    temperature: float | None = None  # 0 is greedy
    top_p: float | None = None  # in (0, 1]
    top_k: int | None = None  # 0 switches it off
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()  # the answer ends before the first of them that is complete
    frequency_penalty: float = 0.0  # taken off a token's logit for each time it is in the answer already
    presence_penalty: float = 0.0  # taken off once if it is
    logprobs: int | None = None  # with every token its logprob and this many of the likeliest; None: no logprobs
    json_schema: str | None = None  # the answer is compact JSON of this schema (itself JSON text)
    min_p: float | None = None  # tokens less likely than this share of the likeliest one's probability are not drawn
    repetition_penalty: float | None = None  # divides the logits of tokens of prompt and answer; 1 switches it off


class Style(StrEnum):
    """How an answer addresses people."""

    AS_IS = ""
    POLITE = "polite"  # 존댓말
    CASUAL = "casual"  # 반말


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """How a conversation's next questions are answered. None means: the model's own default."""

    instructions: str = ""  # the system prompt, in its owner's words
    style: Style = Style.AS_IS
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None

    @property
    def sampling(self) -> SamplingParams:
        return SamplingParams(self.temperature, self.top_p, max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely the model held a token, before temperature, penalties and grammar (natural logarithm)."""

    bytes: bytes  # of its text, which may begin or end inside a character
    logprob: float
    top: tuple[TokenLogprob, ...] = ()  # the likeliest at its place, in order; these have none themselves
    start: int = 0  # where its text begins in the answer, in code points; those of one character begin together

    @property
    def text(self) -> str:
        """For people; U+FFFD where a character is cut."""
        return self.bytes.decode("utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class User:
    """An account. Its password hash travels apart from it (store.users.Credentials)."""

    id: str
    email: str
    name: str
    role: AccountRole
    created_at: datetime
    agreed_at: datetime | None = None  # since when what they vote on may teach a model; None: it may not


@dataclass(frozen=True, slots=True)
class Conversation:
    """A titled thread; `leaf_id` is the generation its visible branch ends in."""

    id: str
    user_id: str
    title: str
    leaf_id: str | None
    created_at: datetime
    updated_at: datetime
    adapter: str = ""  # the name of the one that its next question is answered with; "": none
    settings: ConversationSettings = ConversationSettings()
    pins: tuple[str, ...] = ()  # turns that stay in the prompt when it grows too long
    tags: tuple[str, ...] = ()  # in the order they were given


@dataclass(frozen=True, slots=True)
class Generation:
    """One turn: the question, the answer so far, and all a worker needs to make or continue it.

    `answer` is what `token_ids` decode to; both are checkpoints while `state` is running, and final after.
    `attempt` counts claims (0 while never claimed) and fences every write. Offsets are code points of `answer`.
    """

    id: str
    conversation_id: str
    user_id: str
    parent_id: str | None
    question: str
    lane: str
    state: GenerationState
    seed: int
    tag: float  # start tag, in tokens: within a job class the lane's waiting generations are claimed in this order
    created_at: datetime
    job_class: JobClass = JobClass.INTERACTIVE
    origin: Origin = Origin.PAGE
    prompt: tuple[Message, ...] | str | None = None  # all of it: messages, or raw text; None: the branch and question
    pictures: tuple[PictureRef, ...] = ()  # beside the question, or in the messages of `prompt`
    sources: tuple[Source, ...] = ()  # passages of documents in `prompt`, in their order there
    cost: float = 0.0  # tokens this turn was expected to take when it was asked
    forecast_s: float | None = None  # how long it was expected to wait when it was asked
    sampling: SamplingParams = field(default_factory=SamplingParams)
    system: str = ""  # what the system says first, of a turn without `prompt`
    pins: tuple[str, ...] = ()  # turns before it that were pinned when it was asked
    continued: int = 0  # tokens of its answer that another turn's answer lent it
    answer: str = ""
    token_ids: tuple[int, ...] = ()
    model_digest: str | None = None
    adapter: str | None = None  # the version (`name@12hex`) it is answered with, chosen when it was asked
    attempt: int = 0
    stalled_attempts: int = 0  # claims in a row that ended without a new token
    worker_id: str | None = None
    listeners: tuple[str, ...] = ()  # web nodes that show this answer now
    cancel_requested_at: datetime | None = None  # when the person pressed stop
    error_code: str | None = None
    error_facts: dict[str, str | int | float] = field(default_factory=dict)
    prompt_tokens: int = 0  # known once it has ended, like the next two
    answer_tokens: int = 0
    left_out: int = 0  # earlier turns for which its prompt had no room (shared/prompting.py says which)
    finish_reason: str | None = None  # of a done answer: "stop" (it ended by itself or at a stop string) or "length"
    logprobs: tuple[TokenLogprob, ...] | None = None  # of the answer's tokens but the end token, if they were asked for
    evidence: Evidence | None = None  # of a done answer about pictures
    claimed_at: datetime | None = None
    first_token_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def shown_state(self) -> GenerationState:
        """What people see."""
        return self.state.shown(self.attempt)
