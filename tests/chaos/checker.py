"""Compares what people and the store have with the truth. Pure: it is given everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from tests.chaos.transcript import Transcript, text_of

_UNDER_WAY_S = 0.25  # what was sent before an injection may still arrive for this long


@dataclass(slots=True)
class Answer:
    """A question that was sent, and what its browser has of the answer."""

    prompt: str
    generation_id: str
    transcript: Transcript = field(default_factory=Transcript)
    is_poison: bool = False  # it ought to fail
    is_refused: bool = False  # the person was told so, with a 503
    node: str = ""  # address of the web node that streams it

    @property
    def is_in_midst(self) -> bool:
        return bool(self.transcript.text) and not self.transcript.is_over


@dataclass(frozen=True, slots=True)
class Stored:
    """A generation as the store has it."""

    state: str
    answer: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How many characters of the truth are missing, and how many there are too many."""

    lost: int = 0
    doubled: int = 0


@dataclass(slots=True)
class Verdict:
    """The four numbers that must be 0."""

    prompts: int = 0
    lost_prompts: int = 0
    lost_chars: int = 0
    doubled_chars: int = 0
    orphan_runs: int = 0
    faults: list[str] = field(default_factory=list)  # one line for each

    @property
    def is_clean(self) -> bool:
        return not (self.lost_prompts or self.lost_chars or self.doubled_chars or self.orphan_runs)


def judge(
    answers: Iterable[Answer], truth: Mapping[str, str], stored: Mapping[str, Stored], busy_slots: int
) -> Verdict:
    """Everything has come to rest; `busy_slots` are still taken in the living workers."""
    verdict = Verdict()
    for answer in answers:
        if answer.is_refused:
            if answer.generation_id in stored:
                verdict.orphan_runs += 1
                verdict.faults.append(f"{answer.generation_id}: refused, but kept")
            continue
        verdict.prompts += 1
        document = stored.get(answer.generation_id)
        wanted = "failed" if answer.is_poison else "done"
        seen = answer.transcript.state if answer.transcript.is_over else "unfinished"
        if seen != wanted or document is None or document.state != wanted:
            verdict.lost_prompts += 1
            kept = document.state if document else "not"
            verdict.faults.append(f"{answer.generation_id}: {seen}, {kept} in the store")
        elif not answer.is_poison:
            found = difference_of(answer.transcript, document, truth[answer.prompt])
            verdict.lost_chars += found.lost
            verdict.doubled_chars += found.doubled
            if found != Difference():
                verdict.faults.append(f"{answer.generation_id}: {found.lost} lost, {found.doubled} doubled")
    running = sum(document.state == "running" for document in stored.values())
    waiting = sum(document.state == "queued" for document in stored.values())
    idle = max(0, busy_slots - running)
    if running or waiting or idle:
        verdict.faults.append(
            f"at rest: {running} running, {waiting} waiting, {idle} slots held by answers that are over"
        )
    verdict.orphan_runs += running + waiting + idle
    return verdict


def difference_of(transcript: Transcript, document: Stored, truth: str) -> Difference:
    """The worst of the three places where people read an answer: its stream, its final page, and the store."""
    places = (transcript.text, text_of(transcript.html or ""), document.answer)
    found = [difference(truth.strip(), text.strip()) for text in places]
    lost, doubled = max(each.lost for each in found), max(each.doubled for each in found)
    return Difference(lost + transcript.altered, doubled + transcript.altered)


def difference(truth: str, text: str) -> Difference:
    """By the edits that make one of the other."""
    if truth == text:
        return Difference()
    lost = doubled = 0
    for kind, start, end, other_start, other_end in SequenceMatcher(None, truth, text, autojunk=False).get_opcodes():
        if kind != "equal":
            lost += end - start
            doubled += other_end - other_start
    return Difference(lost, doubled)


def gap_s(injected_at: float, grown_at: Sequence[float]) -> float | None:
    """Seconds from the injection to the next visible character; None if the answer had no more to come.

    Characters that were under way when it struck and after which the text stood still are not taken for the next.
    """
    later = [at for at in grown_at if at > injected_at]
    if not later:
        return None
    under_way = [at for at in later if at - injected_at <= _UNDER_WAY_S]
    following = later[len(under_way) :]
    if under_way and (not following or following[0] - under_way[-1] <= _UNDER_WAY_S):
        return under_way[0] - injected_at
    return following[0] - injected_at


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ranked = sorted(samples)
    return ranked[round(percent / 100 * (len(ranked) - 1))]
