"""What one person may use, and how long a refused one should wait. Pure arithmetic around two reads.

Tokens are counted when an answer has ended, so a limit can be overrun by the answers that run at that moment, whose
number is limited too.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.errors import QueueFull, TokensPerDayExceeded, TokensPerMinuteExceeded, TooManyAnswers
from shared.settings import WebSettings
from shared.store import Store
from shared.store.usage import UsedTokens, day_of, minute_of
from web.chat.line import Line

_UNMEASURED_S = 5.0  # to wait where nothing has been measured yet
_MINUTE_S = 60.0
_RESERVE = 0.1  # of the waiting room, above its mark


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of one limit a person has used. A limit of 0 is none."""

    key: str  # of its words
    used: int
    limit: int


class Limits:
    def __init__(self, store: Store, settings: WebSettings) -> None:
        self._store = store
        self._settings = settings

    async def require_room(self, user_id: str, line: Line, entering: int = 0) -> None:
        """For one more question, with so many `entering` that the line does not show yet. Above its mark the waiting
        room has places for those who have no question yet: nobody alone can shut out all others.

        Raises: QueueFull, TooManyAnswers, TokensPerMinuteExceeded, TokensPerDayExceeded; facts: retry_after_s.
        """
        settings, now = self._settings, datetime.now(UTC)
        waiting, reserve = len(line.waiting) + entering, math.ceil(settings.waiting_room * _RESERVE)
        if waiting >= settings.waiting_room + reserve:
            raise QueueFull(retry_after_s=moved_on_s(line))
        answers, used = await asyncio.gather(
            self._store.generations.unfinished_of_user(user_id, settings.answers_per_user),
            self._store.usage.of(user_id, now),
        )
        if answers >= settings.answers_per_user:
            raise TooManyAnswers(limit=settings.answers_per_user, retry_after_s=_one_ended_s(line, answers))
        if answers and waiting >= settings.waiting_room:
            raise QueueFull(retry_after_s=moved_on_s(line))
        wait_s = minute_wait_s(used, settings.tokens_per_minute, now)
        if wait_s > 0:
            raise TokensPerMinuteExceeded(limit=settings.tokens_per_minute, retry_after_s=wait_s)
        if settings.tokens_per_day and used.today >= settings.tokens_per_day:
            rest_s = (_next_day(now) - now).total_seconds()
            raise TokensPerDayExceeded(limit=settings.tokens_per_day, retry_after_s=rest_s)

    async def require_no_more(self, user_id: str, line: Line) -> None:
        """After a question was written: raises TooManyAnswers if others came between, here or at another node."""
        limit = self._settings.answers_per_user
        answers = await self._store.generations.unfinished_of_user(user_id, limit + 1)
        if answers > limit:
            raise TooManyAnswers(limit=limit, retry_after_s=_one_ended_s(line, answers))

    async def of(self, user_id: str) -> list[Allowance]:
        """For the person to see: answers at once, tokens of the last minute, tokens of the day."""
        settings, now = self._settings, datetime.now(UTC)
        used = await self._store.usage.of(user_id, now)
        answers = await self._store.generations.unfinished_of_user(user_id, settings.answers_per_user)
        return [
            Allowance("usage.answers", answers, settings.answers_per_user),
            Allowance("usage.minute", round(used_in_window(used, now)), settings.tokens_per_minute),
            Allowance("usage.day", used.today, settings.tokens_per_day),
        ]


def used_in_window(used: UsedTokens, now: datetime) -> float:
    """Tokens of the last 60 s, taking the previous minute's as spread evenly."""
    return used.this_minute + used.last_minute * (1 - _share_of_minute(now))


def minute_wait_s(used: UsedTokens, limit: int, now: datetime) -> float:
    """Seconds until the window holds fewer than `limit` tokens if no more come; 0 if it does now."""
    if not limit or used_in_window(used, now) < limit:
        return 0.0
    share = _share_of_minute(now)
    if used.this_minute >= limit:  # they become the previous minute's, and fade during the next one
        return _MINUTE_S * (1 - share + 1 - limit / used.this_minute)
    return _MINUTE_S * (1 - (limit - used.this_minute) / used.last_minute - share)


def _share_of_minute(now: datetime) -> float:
    return (now - minute_of(now)).total_seconds() / _MINUTE_S


def _next_day(now: datetime) -> datetime:
    return day_of(now) + timedelta(days=1)


def moved_on_s(line: Line) -> float:
    """Until a tenth of the line has been served."""
    return max(1.0, len(line.waiting) / 10 / line.ended_per_s) if line.ended_per_s else _UNMEASURED_S


def _one_ended_s(line: Line, answers: int) -> float:
    """Until one of so many answers will have ended."""
    served = [worker.service_s for worker in line.workers if worker.service_s]
    return max(1.0, sum(served) / len(served) / answers) if served else _UNMEASURED_S
