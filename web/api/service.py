"""What programs can do through /v1. No HTTP here: drafts in, generations or errors out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from shared.chat import Generation, GenerationState, Origin
from shared.errors import (
    DeadlineExceeded,
    GenerationCrashed,
    GenerationError,
    NotFound,
    PictureGone,
    PicturesUnsupported,
    PromptRefused,
    PromptTooLong,
    SchemaUnsupported,
    StoreUnavailable,
    TooBusy,
    TooManyAttempts,
)
from shared.ids import is_id
from shared.store import Store
from shared.telemetry import fields
from web.api.drafts import length_of
from web.api.problems import ContextExceeded, ParameterTooLong
from web.cancellation import Cancellation
from web.chat.admission import Admission

log = logging.getLogger(__name__)

_RETRY_S = 0.5
_CHECKED_AT_ONCE = 2  # schemas; each keeps a core busy
_MOST_CHECKS = 20  # under way or waiting
_TOKEN_CHARACTERS = 16  # in the mean, at most: a prompt with more for each token of the context cannot fit
_FAILURES = (
    *(PromptTooLong, PromptRefused, SchemaUnsupported, PicturesUnsupported, PictureGone),
    *(GenerationCrashed, TooManyAttempts, DeadlineExceeded),
)

R = TypeVar("R")


class ApiService:
    """The use cases. `most_chars`: of one prompt, all its messages together."""

    def __init__(self, store: Store, admission: Admission, cancellation: Cancellation, *, most_chars: int) -> None:
        self._most_chars = most_chars
        self._checkers = ThreadPoolExecutor(_CHECKED_AT_ONCE, thread_name_prefix="schema")
        self._checks = 0
        self._store = store
        self._admission = admission
        self._cancellation = cancellation
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for what was begun for clients that have gone."""
        self._checkers.shutdown(wait=False, cancel_futures=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def require_room(self, user_id: str, lane: str) -> None:
        """Before work is done for a request that would be refused. Raises LimitReached, QueueFull."""
        await self._admission.require_room(user_id, lane)

    async def checked(self, user_id: str, lane: str, draft: Callable[[], list[Generation]]) -> list[Generation]:
        """What `draft` makes while it compiles a schema: in a thread that nothing else waits for, and only for somebody
        who may ask now. Raises LimitReached, QueueFull, TooBusy, and what `draft` raises."""
        await self.require_room(user_id, lane)
        if self._checks >= _MOST_CHECKS:
            raise TooBusy(retry_after_s=_RETRY_S)
        self._checks += 1
        check = asyncio.get_running_loop().run_in_executor(self._checkers, draft)
        check.add_done_callback(self._checked)  # even if the client has gone: the thread works on
        return await asyncio.shield(check)

    async def submit(self, drafts: list[Generation]) -> list[Generation]:
        """Ask for all of them or none; carried through even if the caller is cancelled (the client left), and then
        stopped, unless it is a job. Raises ParameterTooLong, LimitReached, QueueFull, StoreUnavailable."""
        await self._require_short(drafts[0])
        task = self._begin(self._submit(drafts))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if drafts[0].origin is not Origin.JOB:
                self._begin(self._stop_after(task, drafts))
            raise

    def abandon(self, turns: Iterable[Generation]) -> None:
        """Nobody can fetch these any more: stop them. Returns at once."""
        self._begin(self._stop(turns))

    async def cancel(self, user_id: str, generation_id: str) -> Generation:
        """It as it is afterwards; one that runs ends a step later. Raises NotFound, for a foreign one too."""
        turn = await self.get(user_id, generation_id)
        if not turn.state.is_final:
            await self._cancellation.cancel(user_id, generation_id)
        return await self.get(user_id, generation_id)

    async def get(self, user_id: str, generation_id: str) -> Generation:
        """What came through /v1. Raises NotFound, for a foreign one too."""
        turn = await self._store.generations.get(generation_id) if is_id(generation_id) else None
        if turn is None or turn.user_id != user_id or not turn.origin.is_api:
            raise NotFound
        return turn

    async def latest_jobs(self, user_id: str, limit: int) -> list[Generation]:
        return await self._store.generations.latest(user_id, Origin.JOB, limit)

    async def ended(self, generation_id: str) -> Generation:
        """The whole document of an answer that is over. Waits for a store that is away.

        Raises NotFound if its owner has deleted it, and why it failed if it did.
        """
        while True:
            try:
                turn = await self._store.generations.get(generation_id)
                break
            except StoreUnavailable as error:
                log.info("api_answer_waits_for_store", extra=fields(reason=str(error)))
                await asyncio.sleep(_RETRY_S)
        if turn is None:
            raise NotFound
        if turn.state is GenerationState.FAILED:
            raise failure_of(turn)
        return turn

    async def _require_short(self, draft: Generation) -> None:
        """Workers count tokens; what cannot fit is not even stored. Raises ContextExceeded, ParameterTooLong."""
        length, param = length_of(draft), "prompt" if draft.origin is Origin.TEXT else "messages"
        context = await self._admission.longest_context(draft.lane)
        if context and length > context * _TOKEN_CHARACTERS:
            raise ContextExceeded(param=param, limit=context * _TOKEN_CHARACTERS)
        if length > self._most_chars:
            raise ParameterTooLong(param=param, limit=self._most_chars)

    def _checked(self, check: asyncio.Future[list[Generation]]) -> None:
        self._checks -= 1
        if not check.cancelled():
            check.exception()  # told to whoever waits

    async def _submit(self, drafts: list[Generation]) -> list[Generation]:
        turns: list[Generation] = []
        try:
            for draft in drafts:
                turn = await self._admission.admit(draft, length_of(draft))
                assert turn is not None  # its id is new
                turns.append(turn)
                await self._admission.send_permit(turn)
        except BaseException:
            await self._stop(turns)
            raise
        return turns

    async def _stop_after(self, submitting: asyncio.Task[list[Generation]], drafts: list[Generation]) -> None:
        await asyncio.wait([submitting])
        await self._stop(drafts)

    async def _stop(self, turns: Iterable[Generation]) -> None:
        for turn in turns:
            try:
                await self._cancellation.cancel(turn.user_id, turn.id)
            except StoreUnavailable as error:
                log.warning("api_answer_not_stopped", extra=fields(reason=str(error)))

    def _begin(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        """The caller may be gone: nobody else would look at the outcome."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("api_request_refused", extra=fields(reason=type(error).__name__))


def failure_of(turn: Generation) -> GenerationError:
    """Why this answer failed, as the error it was; the prompt of raw text has another name."""
    kind = next((kind for kind in _FAILURES if kind.code == turn.error_code), GenerationError)
    if turn.origin is Origin.TEXT and kind in (PromptTooLong, PromptRefused):
        return kind("", **turn.error_facts, param="prompt")
    return kind("", **turn.error_facts)
