"""Stopping an answer: the mark in the store, then the word to whoever works on it or shows it."""

from __future__ import annotations

import logging

from shared.broker.base import Broker
from shared.errors import BrokerUnavailable
from shared.messages import CancelGeneration, GenerationChanged
from shared.store import Store
from shared.telemetry import fields

log = logging.getLogger(__name__)


class Cancellation:
    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker

    async def cancel(self, user_id: str, generation_id: str) -> None:
        """Nothing happens if it is over, or not this user's. Raises StoreUnavailable."""
        generation = await self._store.generations.request_cancel(generation_id, user_id)
        if generation is None:
            return
        try:
            if not generation.state.is_final:
                await self._broker.publish_control(CancelGeneration(generation_id=generation_id), None)
                return
            message = GenerationChanged(
                generation_id=generation_id, attempt=generation.attempt, state=generation.state.value
            )
            for node_id in generation.listeners:
                await self._broker.publish_to_node(node_id, message)
        except BrokerUnavailable:  # the next checkpoint returns the mark; streams look at the store by themselves
            log.warning("cancel_not_sent", extra=fields(generation_id=generation_id))
