"""Every kind of job (shared/jobs.py): its lane, where its jobs lie, and its permit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.messages import DigestArticle, IngestDocument, Permit, ReindexDocument
from shared.store import Store
from shared.store.claims import Claims
from shared.topology import DIGEST_LANE, INGEST_LANE, REINDEX_LANE


@dataclass(frozen=True, slots=True)
class JobKind:
    """`claims`: where its jobs lie; `permit`: the message that entitles to claim one."""

    lane: str
    claims: Callable[[Store], Claims[Any]]
    permit: Callable[[str], Permit]


DOCUMENTS = JobKind(INGEST_LANE, lambda store: store.documents, lambda job_id: IngestDocument(document_id=job_id))
REINDEXINGS = JobKind(REINDEX_LANE, lambda store: store.reindexings, lambda job_id: ReindexDocument(document_id=job_id))
DIGESTS = JobKind(DIGEST_LANE, lambda store: store.digests, lambda job_id: DigestArticle(digest_id=job_id))
KINDS = (DOCUMENTS, REINDEXINGS, DIGESTS)
