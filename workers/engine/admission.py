"""What an engine checks of a request at the door, before it may touch the others in a batch."""

from __future__ import annotations

import math

import numpy as np

from shared.errors import GenerationError, PicturesUnsupported, PromptTooLong
from workers.engine.base import FinishReason, Request
from workers.engine.facts import PictureFacts

MOST_LOGPROBS = 20


def check(request: Request, vocabulary: int, context_length: int, eyes: PictureFacts | None = None) -> None:
    """Raises PromptTooLong, PicturesUnsupported, or GenerationError for what no caller of ours should ask."""
    if not request.prompt:
        raise GenerationError("the prompt has no tokens")
    if len(request.prompt) >= context_length:
        raise PromptTooLong(tokens=len(request.prompt), limit=context_length - 1)
    if not all(0 <= token_id < vocabulary for token_id in (*request.prompt, *request.generated)):
        raise GenerationError(f"a token id lies outside the vocabulary of {vocabulary}")
    _check_pictures(request, eyes)
    if request.max_new_tokens < 1 or request.top_k < 0:
        raise GenerationError("max_new_tokens must be at least 1 and top_k at least 0")
    if not (math.isfinite(request.frequency_penalty) and math.isfinite(request.presence_penalty)):
        raise GenerationError("penalties must be numbers")
    if not (math.isfinite(request.repetition_penalty) and request.repetition_penalty > 0):
        raise GenerationError("repetition_penalty must be above 0")
    if not 0 <= request.min_p <= 1:
        raise GenerationError("min_p must be in [0, 1]")
    if request.logprobs is not None and not 0 <= request.logprobs <= MOST_LOGPROBS:
        raise GenerationError(f"at most {MOST_LOGPROBS} logprobs")
    if not (math.isfinite(request.temperature) and request.temperature >= 0 and 0 < request.top_p <= 1):
        raise GenerationError("temperature must be at least 0 and top_p in (0, 1]")


def _check_pictures(request: Request, eyes: PictureFacts | None) -> None:
    if eyes is None:
        if request.pictures:
            raise PicturesUnsupported
        return
    if any(picture.pixels.shape != (3, eyes.height, eyes.width) for picture in request.pictures):
        raise GenerationError(f"a picture is not 3 x {eyes.height} x {eyes.width}")
    if not all(np.isfinite(picture.pixels).all() for picture in request.pictures):
        raise GenerationError("a picture has pixels that are no numbers")
    if eyes.placeholder in request.generated or (
        request.prompt.count(eyes.placeholder) != eyes.tokens * len(request.pictures)
    ):
        raise GenerationError(f"placeholders must be {eyes.tokens} for each picture, in the prompt alone")


def ended(
    request: Request,
    generated: int,
    last: int | None,
    stop_ids: frozenset[int],
    context_length: int,
    *,
    is_complete: bool = False,
) -> FinishReason | None:
    """Why a request with this many generated tokens, the last one being `last`, is over; None if it is not.

    `is_complete`: its grammar lets nothing more follow.
    """
    if is_complete or (last is not None and last in stop_ids):
        return "stop"
    return "length" if generated >= longest(request, context_length) else None


def longest(request: Request, context_length: int) -> int:
    """How many tokens the answer may have."""
    return min(request.max_new_tokens, context_length - len(request.prompt))
