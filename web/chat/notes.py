"""The one quiet line beside an answer: how long the wait is, or why nothing comes."""

from __future__ import annotations

from shared.chat import Generation, GenerationState
from web.chat.continuing import is_full
from web.chat.line import Place
from web.chat.live import LiveAnswer
from web.words import Words

_SOON_S = 1.0


def note_of_live(answer: LiveAnswer, words: Words) -> str:
    """For an answer that is being watched; empty if there is nothing to say."""
    if answer.is_gone:
        return words("note.deleted")
    if answer.generation is not None and answer.is_over:
        return note_of_final(answer.generation, words)
    if answer.state is GenerationState.HELD:
        return words("note.held")
    if answer.state is GenerationState.QUEUED:
        return note_of_waiting(answer.attempt, answer.place, words)
    return "" if answer.has_worker else words("note.resuming")


def note_of_waiting(attempt: int, place: Place, words: Words) -> str:
    """For a waiting answer."""
    if not place.has_worker:
        return words("note.no_worker")
    if attempt > 0:
        return words("note.resuming")
    if place.wait_s is None:
        return words("note.place", place=place.ahead + 1)
    if place.wait_s < _SOON_S:
        return words("note.next")
    return words("note.place_and_wait", place=place.ahead + 1, wait=words.duration(place.wait_s))


def note_of_final(generation: Generation, words: Words) -> str:
    """For an answer that ended."""
    if generation.state is GenerationState.FAILED:
        return words.explain_code(generation.error_code, generation.error_facts)
    if generation.state is GenerationState.STOPPED:
        return words("note.stopped" if generation.answer else "note.stopped_early")
    if generation.finish_reason == "length":
        return words("note.full" if is_full(generation) else "note.cut")
    return ""
