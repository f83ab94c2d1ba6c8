"""From generations to the objects that clients know. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from shared.chat import Generation, GenerationState, JobClass, Origin, TokenLogprob
from web.api.envelope import Envelopes
from web.api.objects import (
    AssistantMessage,
    ChatChoice,
    ChatCompletion,
    ChatLogprobs,
    Completion,
    FinishReason,
    Job,
    JobStatus,
    LikelyToken,
    Place,
    TextChoice,
    TextLogprobs,
    ToldToken,
    Usage,
)
from web.api.service import failure_of
from web.chat import line
from web.words import Words

_PREFIXES = {Origin.CHAT: "chatcmpl-", Origin.JOB: "chatcmpl-", Origin.TEXT: "cmpl-"}


def completion_id(turn: Generation) -> str:
    """What OpenAI's clients call it; of several choices the first names them all."""
    return _PREFIXES[turn.origin] + turn.id


def generation_id(name: str) -> str:
    """The other way round; a bare id is one already."""
    return name.removeprefix("chatcmpl-").removeprefix("cmpl-")


def model_of(turn: Generation, model: str) -> str:
    """What answers it, to the version; `model`: the base."""
    return f"{model}:{turn.adapter}" if turn.adapter else model


def fingerprint(turn: Generation) -> str | None:
    """Of weights, tokenizer and template, once a worker has told."""
    return f"fp_{turn.model_digest[:12]}" if turn.model_digest else None


def finish_reason(turn: Generation) -> FinishReason:
    """A stopped answer ended too."""
    return cast("FinishReason", turn.finish_reason or "stop")


def usage_of(turns: Sequence[Generation]) -> Usage:
    """The prompt counts once, however many answers it got."""
    prompt = max(turn.prompt_tokens for turn in turns)
    written = sum(len(turn.token_ids) for turn in turns)
    return Usage(prompt_tokens=prompt, completion_tokens=written, total_tokens=prompt + written)


def chat_completion(turns: Sequence[Generation], model: str) -> ChatCompletion:
    """Of answers that are over."""
    return ChatCompletion(
        id=completion_id(turns[0]),
        object="chat.completion",
        created=int(turns[0].created_at.timestamp()),
        model=model_of(turns[0], model),
        system_fingerprint=fingerprint(turns[0]),
        choices=[
            ChatChoice(
                index=index,
                message=AssistantMessage(role="assistant", content=turn.answer, refusal=None),
                logprobs=chat_logprobs(turn.logprobs),
                finish_reason=finish_reason(turn),
            )
            for index, turn in enumerate(turns)
        ],
        usage=usage_of(turns),
    )


def text_completion(turns: Sequence[Generation], model: str) -> Completion:
    """Of answers that are over."""
    return Completion(
        id=completion_id(turns[0]),
        object="text_completion",
        created=int(turns[0].created_at.timestamp()),
        model=model_of(turns[0], model),
        system_fingerprint=fingerprint(turns[0]),
        choices=[
            TextChoice(
                index=index,
                text=turn.answer,
                logprobs=text_logprobs(turn.logprobs),
                finish_reason=finish_reason(turn),
            )
            for index, turn in enumerate(turns)
        ],
        usage=usage_of(turns),
    )


def job_of(turn: Generation, place: line.Place | None, model: str, envelopes: Envelopes, words: Words) -> Job:
    """`place`: where it stands, if it waits."""
    is_whole = turn.state in (GenerationState.DONE, GenerationState.STOPPED)
    shaped = text_completion if turn.origin is Origin.TEXT else chat_completion
    address = f"/v1/jobs/{turn.id}"
    return Job(
        id=turn.id,
        object="job",
        completion_id=completion_id(turn),
        status=cast("JobStatus", turn.shown_state.value),  # what is held is shown as queued
        priority="bulk" if turn.job_class is JobClass.BULK else "interactive",
        model=model_of(turn, model),
        created=int(turn.created_at.timestamp()),
        finished=int(turn.finished_at.timestamp()) if turn.finished_at else None,
        place=place_of(place),
        text=turn.answer,
        result=shaped([turn], model) if is_whole else None,
        error=envelopes.body(failure_of(turn), words).error if turn.state is GenerationState.FAILED else None,
        status_url=address,
        stream_url=f"{address}/stream",
        cancel_url=f"{address}/cancel",
    )


def place_of(place: line.Place | None) -> Place | None:
    return Place(ahead=place.ahead, wait_s=place.wait_s) if place else None


def chat_logprobs(logprobs: Sequence[TokenLogprob] | None) -> ChatLogprobs | None:
    """None if they were not asked for."""
    if logprobs is None:
        return None
    told = [
        ToldToken(**_token(token).model_dump(), top_logprobs=[_token(other) for other in token.top])
        for token in logprobs
    ]
    return ChatLogprobs(content=told, refusal=None)


def _token(token: TokenLogprob) -> LikelyToken:
    return LikelyToken(token=token.text, bytes=list(token.bytes), logprob=token.logprob)


def text_logprobs(logprobs: Sequence[TokenLogprob] | None) -> TextLogprobs | None:
    """None if they were not asked for."""
    if logprobs is None:
        return None
    return TextLogprobs(
        tokens=[token.text for token in logprobs],
        token_logprobs=[token.logprob for token in logprobs],
        top_logprobs=[{other.text: other.logprob for other in token.top} for token in logprobs],
        text_offset=[token.start for token in logprobs],
    )
