"""Questions that were asked before the answer before them had ended: let into the lane when it has.

Run by every web node; doing it twice is harmless. A limit that refuses one only makes it wait longer.
"""

from __future__ import annotations

import asyncio
import logging

from shared.chat import Generation
from shared.errors import LimitReached, QueueFull, ServiceError
from shared.store import Store
from shared.telemetry import fields
from web.chat.admission import Admission

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_LONGEST_REST_S = 2.0  # of somebody whom a limit refused
_MOST_READ = 1000


class HeldQuestions:
    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission
        self._rests_until: dict[str, float] = {}  # of a person, in loop time

    async def run(self) -> None:
        """Look until cancelled. A store that is away is tried again the next time."""
        while True:
            try:
                await self.release_due()
            except ServiceError as error:
                log.info("held_questions_wait", extra=fields(reason=str(error)))
            except Exception:  # a fault of ours must not hold everybody's questions for ever
                log.exception("held_questions_failed")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def release_due(self) -> None:
        """All whose time has come. Raises StoreUnavailable."""
        held = await self._store.generations.held(_MOST_READ)
        if not held:
            self._rests_until.clear()
            return
        before = await self._store.generations.get_many({turn.parent_id for turn in held if turn.parent_id})
        for turn in held:
            parent = before.get(turn.parent_id or "")
            if parent is None or parent.state.is_final:
                await self._release(turn)

    async def _release(self, turn: Generation) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._rests_until.get(turn.user_id, 0.0):
            return
        try:
            await self._admission.release(turn)
        except (LimitReached, QueueFull) as error:
            rest_s = min(float(error.facts.get("retry_after_s", _LONGEST_REST_S)), _LONGEST_REST_S)
            self._rests_until[turn.user_id] = now + rest_s
