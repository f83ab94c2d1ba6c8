"""One lane and its workers as discrete events (SimPy): when each question gets its first and its last token.

What is in it: permits go to workers with free slots in turn, as RabbitMQ hands them out; who finds none waits; a worker
writes a token for every running answer each step, and reads prompts beside them as workers/engine/pace.py allows.
What is not: fair shares among people (the line is first come, first served, which leaves the mean alone and changes who
waits), memory for keys and values, stops, failures, and workers that come and go.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from infra.capacity.demand import Question
from infra.capacity.profile import Profile
from shared.errors import ConfigError

MOST_WORKERS = 100_000

# As in workers/engine/pace.py, whose reasons hold here too.
_LEAST_PROMPT_TOKENS = 16
_PATIENCE_S = 0.1

_Steps = Generator[simpy.Event, Any, None]


@dataclass(slots=True, eq=False)
class Answered:
    """Times of one question, in seconds after the window's beginning."""

    question: Question
    begun_s: float = 0.0  # a slot was free
    first_s: float = 0.0  # its first text was seen
    ended_s: float = 0.0
    unread: int = 0  # tokens of its prompt

    @property
    def waited_s(self) -> float:
        return self.begun_s - self.question.asked_s

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.question.asked_s


def simulate(questions: Sequence[Question], profile: Profile, workers: int) -> list[Answered]:
    """All of them, in the order in which they were asked. Nothing in here is left to chance. Raises ConfigError."""
    if not 1 <= workers <= MOST_WORKERS:
        raise ConfigError(f"there must be 1 to {MOST_WORKERS:,} workers, not {workers}")
    environment = simpy.Environment()
    lane = _Lane(environment, profile, workers)
    answers = [Answered(question, unread=question.prompt_tokens) for question in questions]
    environment.process(_ask(environment, lane, answers))
    environment.run()
    return answers


def _ask(environment: simpy.Environment, lane: _Lane, answers: Sequence[Answered]) -> _Steps:
    for answer in answers:
        yield environment.timeout(max(0.0, answer.question.asked_s - environment.now))
        lane.ask(answer)


class _Lane:
    def __init__(self, environment: simpy.Environment, profile: Profile, workers: int) -> None:
        self._waiting: deque[Answered] = deque()
        self._in_turn = deque(_Worker(environment, profile, self) for _ in range(workers))

    def ask(self, answer: Answered) -> None:
        for _ in range(len(self._in_turn)):
            worker = self._in_turn[0]
            self._in_turn.rotate(-1)
            if worker.free:
                worker.take(answer)
                return
        self._waiting.append(answer)

    def next(self) -> Answered | None:
        return self._waiting.popleft() if self._waiting else None


class _Worker:
    def __init__(self, environment: simpy.Environment, profile: Profile, lane: _Lane) -> None:
        self._environment = environment
        self._profile = profile
        self._lane = lane
        self.free = profile.slots
        self._steps = 0
        self._reading: deque[Answered] = deque()
        self._writing: list[tuple[int, int, Answered]] = []  # a heap by the step with which each ends
        self._numbers = itertools.count()
        self._news = environment.event()
        environment.process(self._run())

    def take(self, answer: Answered) -> None:
        """Into a free slot. The way to the engine and from it to the reader takes `overhead_s` in all."""
        self.free -= 1
        answer.begun_s = self._environment.now
        if self._profile.overhead_s:
            self._environment.process(self._take_later(answer))
        else:
            self._arrive(answer)

    def _take_later(self, answer: Answered) -> _Steps:
        yield self._environment.timeout(self._profile.overhead_s)
        self._arrive(answer)

    def _arrive(self, answer: Answered) -> None:
        self._reading.append(answer)
        if not self._news.triggered:
            self._news.succeed()

    def _run(self) -> _Steps:
        while True:
            if self._reading:
                yield from self._read()
            elif self._writing:
                yield from self._write()
            else:
                self._news = self._environment.event()
                yield self._news

    def _read(self) -> _Steps:
        """One step with pieces of prompts in it."""
        rows = len(self._writing)
        budget = self._budget(rows)
        tokens, read = 0, []
        for answer in self._reading:
            if tokens == budget:
                break
            piece = min(answer.unread, budget - tokens)
            answer.unread -= piece
            tokens += piece
            read.append(answer)
        yield self._environment.timeout(self._profile.mixed_s(rows, tokens))
        self._advance(1)
        for answer in read:
            if answer.unread == 0:
                self._reading.remove(answer)
                self._begin(answer)

    def _write(self) -> _Steps:
        """Steps until an answer ends or somebody comes, who joins after the step under way."""
        step_s = self._profile.step_s(len(self._writing))
        begun, most = self._environment.now, self._writing[0][0] - self._steps
        self._news = self._environment.event()
        yield self._environment.timeout(most * step_s) | self._news
        steps = most
        if self._reading:
            steps = min(most, int((self._environment.now - begun) / step_s) + 1)
            yield self._environment.timeout(max(0.0, begun + steps * step_s - self._environment.now))
        self._advance(steps)

    def _budget(self, rows: int) -> int:
        """Tokens of prompts in the next step."""
        profile, joining = self._profile, len(self._reading)
        if rows == 0:
            return profile.most_prompt_tokens
        alone_s, all_ = profile.step_s(rows), rows + joining
        together_s = max(alone_s, profile.step_s(all_), all_ * profile.token_s)
        step_s = max(2 * together_s, _PATIENCE_S * joining / all_)
        tokens = max(_LEAST_PROMPT_TOKENS, int((step_s - alone_s) / profile.token_s))
        return min(profile.most_prompt_tokens, tokens)

    def _begin(self, answer: Answered) -> None:
        """Its first token has come with this step."""
        answer.first_s = self._environment.now
        last = self._steps + answer.question.answer_tokens - 1
        if last == self._steps:
            self._end(answer)
        else:
            heapq.heappush(self._writing, (last, next(self._numbers), answer))

    def _advance(self, steps: int) -> None:
        self._steps += steps
        while self._writing and self._writing[0][0] <= self._steps:
            self._end(heapq.heappop(self._writing)[2])

    def _end(self, answer: Answered) -> None:
        answer.ended_s = self._environment.now
        self.free += 1
        if successor := self._lane.next():
            self.take(successor)
