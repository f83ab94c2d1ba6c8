"""What digests ask of the house's own language model, asked in the lane of people's questions and behind all of them.

Run by every web node; doing it twice is harmless. A digest has had its fair turn in its own lane, so its question joins
the other one at its present, and takes nothing of what its owner may ask there.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from shared.broker.base import Broker
from shared.chat import Generation, GenerationState, JobClass, Message, Origin, Role, SamplingParams
from shared.digesting.checks import Outcome
from shared.errors import BrokerUnavailable, QueueFull, ServiceError
from shared.messages import GenerateReply
from shared.settings import Settings
from shared.store import Store
from shared.store.digests import Ask
from shared.telemetry import fields
from web.named_model import NamedModels, ServedModel

log = logging.getLogger(__name__)

MOST_TOKENS = 700  # of an answer
_LOOK_EVERY_S = 0.5
_MOST_READ = 200


class DigestRelay:
    def __init__(self, store: Store, broker: Broker, settings: Settings) -> None:
        self._store = store
        self._broker = broker
        self._models = NamedModels(store, settings)

    async def run(self) -> None:
        """Look until cancelled. A store that is away is tried again the next time."""
        while True:
            try:
                await self.relay()
            except ServiceError as error:
                log.info("digests_wait", extra=fields(reason=str(error)))
            except Exception:  # a fault of ours must not keep every digest waiting
                log.exception("digests_not_asked")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def relay(self) -> None:
        """One round. Raises StoreUnavailable."""
        asks = await self._store.digests.asks(_MOST_READ)
        turns = await self._store.generations.get_many(ask.generation_id for ask in asks) if asks else {}
        for ask in asks:
            turn = turns.get(ask.generation_id)
            if turn is not None and turn.state.is_final:
                is_done = turn.state is GenerationState.DONE
                outcome = Outcome.USED if is_done else Outcome.FAILED
                await self._store.digests.answered(ask, outcome, turn.answer if is_done else None)
            elif datetime.now(UTC) >= ask.until:
                await self._store.generations.request_cancel(ask.generation_id, ask.user_id)
                await self._store.digests.answered(ask, Outcome.LATE)
            elif turn is None:
                await self._begin(ask)

    async def _begin(self, ask: Ask) -> None:
        model = await self._models.served(ask.model)
        if model is None:
            await self._store.digests.answered(ask, Outcome.UNSERVED)
        elif await self._store.generations.add(await self._question(ask, model)):
            try:
                await self._broker.publish_permit(model.lane, GenerateReply(generation_id=ask.generation_id))
            except (BrokerUnavailable, QueueFull) as error:  # recovery sends it later
                log.info("permit_not_sent", extra=fields(reason=type(error).__name__))

    async def _question(self, ask: Ask, model: ServedModel) -> Generation:
        return Generation(
            id=ask.generation_id,
            conversation_id=ask.generation_id,
            user_id=ask.user_id,
            parent_id=None,
            question="",
            lane=model.lane,
            state=GenerationState.QUEUED,
            seed=0,
            tag=await self._store.fairness.virtual_time(model.lane),
            created_at=datetime.now(UTC),
            job_class=JobClass.BULK,
            origin=Origin.DIGEST,
            prompt=(Message(Role.USER, ask.text),),
            cost=float(len(ask.text) + MOST_TOKENS),
            sampling=SamplingParams(temperature=0.0, max_new_tokens=MOST_TOKENS, json_schema=ask.schema),
            adapter=model.adapter,
        )
