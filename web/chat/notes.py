"""The one quiet line beside an answer: how long the wait is, or why nothing comes."""

from __future__ import annotations

from shared.chat import Generation, GenerationState
from web.chat.live import LiveAnswer
from web.words import Words


def note_of_live(answer: LiveAnswer, words: Words) -> str:
    """For an answer that is being watched; empty if there is nothing to say."""
    if answer.is_gone:
        return words("note.deleted")
    if answer.generation is not None and answer.is_over:
        return note_of_final(answer.generation, words)
    if answer.state is GenerationState.QUEUED:
        return note_of_waiting(answer.attempt, answer.ahead, words, has_worker=answer.has_worker)
    return "" if answer.has_worker else words("note.resuming")


def note_of_waiting(attempt: int, ahead: int, words: Words, *, has_worker: bool) -> str:
    """For a waiting answer: `ahead` questions come before it."""
    if not has_worker:
        return words("note.no_worker")
    if attempt > 0:
        return words("note.resuming")
    return words("note.ahead", count=ahead) if ahead else words("note.next")


def note_of_final(generation: Generation, words: Words) -> str:
    """For an answer that ended."""
    if generation.state is GenerationState.FAILED:
        return words.explain_code(generation.error_code, generation.error_facts)
    if generation.state is GenerationState.STOPPED:
        return words("note.stopped" if generation.answer else "note.stopped_early")
    return ""
