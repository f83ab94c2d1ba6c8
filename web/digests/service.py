"""What people do with articles: have them digested, look, remove. No HTTP here; pages and /v1 use it alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from shared.broker.base import Broker
from shared.digest_errors import DigestEmpty, DigestsFull, TooManyArticles
from shared.digests import MOST_ARTICLES, DigestJob
from shared.errors import NotFound, ServiceError
from shared.ids import is_id
from shared.messages import DigestArticle
from shared.settings import WebSettings
from shared.store import Store
from shared.store.digests import Incoming, batch_id_of
from shared.telemetry import fields
from shared.topology import DIGEST_LANE

log = logging.getLogger(__name__)


class DigestService:
    def __init__(self, store: Store, broker: Broker, settings: WebSettings) -> None:
        self._store = store
        self._broker = broker
        self._settings = settings

    @property
    def most_kib(self) -> int:
        """Of one article."""
        return self._settings.digest_max_kib

    async def submit(self, user_id: str, article: Incoming) -> DigestJob:
        """Keep it and have it digested; an article that is there already comes back. Raises DigestsFull."""
        await self._require_room(user_id, 1)
        job = await self._add(user_id, article, None, 0)
        await self._permit([job])
        return job

    async def submit_batch(self, user_id: str, articles: Sequence[Incoming]) -> list[DigestJob]:
        """All of them, those that are refused too. The same batch comes back. Raises as `submit`, TooManyArticles,
        DigestEmpty."""
        if not articles:
            raise DigestEmpty
        if len(articles) > MOST_ARTICLES:
            raise TooManyArticles(limit=MOST_ARTICLES)
        await self._require_room(user_id, len(articles))
        batch_id = batch_id_of(user_id, [article.fingerprint for article in articles])
        jobs = [await self._add(user_id, article, batch_id, place) for place, article in enumerate(articles)]
        await self._permit(jobs)
        return jobs

    async def all(self, user_id: str, limit: int | None = None) -> list[DigestJob]:
        """The last sent first."""
        if limit is None:
            return await self._store.digests.of_user(user_id)
        return await self._store.digests.of_user(user_id, limit)

    async def get(self, user_id: str, digest_id: str) -> DigestJob:
        """Raises NotFound, for a foreign one too; those below likewise."""
        job = await self._store.digests.get(digest_id, user_id) if is_id(digest_id) else None
        if job is None:
            raise NotFound
        return job

    async def batch(self, user_id: str, batch_id: str) -> list[DigestJob]:
        jobs = await self._store.digests.of_batch(batch_id, user_id) if is_id(batch_id) else []
        if not jobs:
            raise NotFound
        return jobs

    async def remove(self, user_id: str, digest_id: str) -> None:
        """It and its article; a worker that makes it stops."""
        if not is_id(digest_id) or not await self._store.digests.remove([digest_id], user_id):
            raise NotFound

    async def remove_batch(self, user_id: str, batch_id: str) -> int:
        """How many there were."""
        return await self._store.digests.remove([job.id for job in await self.batch(user_id, batch_id)], user_id)

    async def _add(self, user_id: str, article: Incoming, batch_id: str | None, place: int) -> DigestJob:
        tag = 0.0
        if article.refused is None:
            fairness = self._store.fairness
            time = await fairness.virtual_time(DIGEST_LANE)
            tag = await fairness.start_tag(DIGEST_LANE, user_id, float(len(article.source)), time)
        return await self._store.digests.add(user_id, article, tag, batch_id, place)

    async def _permit(self, jobs: Sequence[DigestJob]) -> None:
        try:
            await asyncio.gather(
                *(
                    self._broker.publish_permit(DIGEST_LANE, DigestArticle(digest_id=job.id))
                    for job in jobs
                    if not job.state.is_final
                )
            )
        except ServiceError as error:  # recovery publishes them when the broker is back, or has room
            log.info("permit_not_sent", extra=fields(reason=type(error).__name__))

    async def _require_room(self, user_id: str, count: int) -> None:
        most = self._settings.digests_per_user
        if await self._store.digests.count(user_id, most) + count > most:
            raise DigestsFull(limit=most)
