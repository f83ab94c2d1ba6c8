"""What is not kept: accounts whose owners left, what is older than the settings allow, pictures that no turn shows.

Run by every web node; doing it twice is harmless. Workers may not remove what people wrote (infra/mongodb/).
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from shared.chat import Origin
from shared.errors import ServiceError
from shared.settings import RetentionSettings
from shared.store import Store
from shared.telemetry import fields

log = logging.getLogger(__name__)

_INTERVAL_S = 60.0
_MOST_A_ROUND = 1000
_DIGESTS_ARE_MADE_WITHIN = timedelta(hours=1)
# A request that was let in before the deletion may still write; what it wrote is removed until then.
_LAST_WRITES_WITHIN = timedelta(minutes=20)


async def run(store: Store, retention: RetentionSettings) -> None:
    """Sweep once a minute until cancelled. A store that is away is tried again the next time."""
    while True:
        try:
            await finish_deletions(store)
            await forget_old(store, retention)
            await store.pictures.collect(_MOST_A_ROUND)
            await store.personal.finish_document_removals(_MOST_A_ROUND)
        except ServiceError as error:
            log.info("forgetting_waits", extra=fields(reason=str(error)))
        await asyncio.sleep(_INTERVAL_S)


async def finish_deletions(store: Store, last_writes_within: timedelta = _LAST_WRITES_WITHIN) -> None:
    """Remove what is left of accounts whose deletion has begun, whoever began it, and at last their documents.

    Raises StoreUnavailable.
    """
    for user_id, begun_at in (await store.users.leaving(_MOST_A_ROUND)).items():
        await store.personal.remove(user_id)
        if datetime.now(UTC) - begun_at >= last_writes_within:
            await store.users.finish_deletion(user_id)
            log.info("account_removed", extra=fields(user_id=user_id))


async def forget_old(store: Store, retention: RetentionSettings) -> None:
    """At most a thousand of each; the rest in the next round. Raises StoreUnavailable."""
    now = datetime.now(UTC)
    await store.personal.remove_answers(Origin.DIGEST, now - _DIGESTS_ARE_MADE_WITHIN, _MOST_A_ROUND)
    if days := retention.conversation_days:
        removed = await store.personal.remove_conversations(now - timedelta(days=days), _MOST_A_ROUND)
        removed += await store.personal.remove_comparisons(now - timedelta(days=days), _MOST_A_ROUND)
        removed += await store.personal.remove_answers(Origin.DOCUMENT, now - timedelta(days=days), _MOST_A_ROUND)
        if removed:
            log.info("conversations_forgotten", extra=fields(count=removed))
    if days := retention.api_days:
        removed = await store.personal.remove_api_answers(now - timedelta(days=days), _MOST_A_ROUND)
        if removed:
            log.info("api_answers_forgotten", extra=fields(count=removed))
