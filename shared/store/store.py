"""All collections behind one object, opened and closed together."""

from __future__ import annotations

from datetime import datetime

from shared.store.adapters import Adapters
from shared.store.audit import Audit
from shared.store.blobs import Blobs
from shared.store.comparisons import Comparisons
from shared.store.connection import open_client, translated
from shared.store.conversations import Conversations
from shared.store.digests import Digests
from shared.store.document_collections import DocumentCollections
from shared.store.documents import Documents
from shared.store.fairness import Fairness
from shared.store.generations import Generations
from shared.store.grants import Grants
from shared.store.keys import Keys
from shared.store.pairings import Pairings
from shared.store.personal import PersonalData
from shared.store.pictures import Pictures
from shared.store.reindexings import Reindexings
from shared.store.resets import Resets
from shared.store.search import Search
from shared.store.second_steps import SecondSteps
from shared.store.sessions import Sessions
from shared.store.shares import Shares
from shared.store.throttle import Throttle
from shared.store.usage import Usage
from shared.store.users import Users
from shared.store.votes import Votes
from shared.store.workers import Workers


class Store:
    """`async with Store(url, database) as store:` connects, checks that the server answers, and makes indexes.

    Raises StoreUnavailable on entry if the server does not answer, and from any later call while it is away.
    """

    def __init__(self, url: str, database: str) -> None:
        self._client = open_client(url)
        self._database = self._client[database]
        self.users = Users(self._database["users"])
        self.sessions = Sessions(self._database["sessions"])
        self.conversations = Conversations(self._database["conversations"])
        self.generations = Generations(self._database["generations"])
        self.workers = Workers(self._database["workers"])
        self.fairness = Fairness(self._database["fairness"])
        self.usage = Usage(self._database["usage"])
        self.throttle = Throttle(self._database["throttle"])
        self.resets = Resets(self._database["resets"])
        self.second_steps = SecondSteps(self._database["second_steps"], self._database["recovery_codes"])
        self.keys = Keys(self._database["keys"])
        self.audit = Audit(self._database["audit"], self._database["audit_heads"])
        self.grants = Grants(self._database["grants"])
        versions = self._database["adapter_versions"]
        documents, pages = self._database["documents"], self._database["document_pages"]
        self.blobs = Blobs(self._database["blobs"], self._database["pictures"], versions, documents, pages)
        self.pictures = Pictures(self._database["pictures"], self._database["generations"], self.blobs)
        self.search = Search(self._database["search"], self._database["generations"])
        self.shares = Shares(self._database["shares"])
        self.comparisons = Comparisons(self._database["comparisons"])
        self.pairings = Pairings(self._database["pairings"])
        self.votes = Votes(self._database["votes"], self._database["generations"])
        reindexings = self._database["reindexings"]
        self.documents = Documents(documents, pages, self._database["document_chunks"], reindexings, self.blobs)
        self.reindexings = Reindexings(reindexings)
        self.document_collections = DocumentCollections(self._database["document_collections"])
        self.digests = Digests(self._database["digests"])
        self.personal = PersonalData(
            self._database, self.pictures, self.search, self.shares, self.votes, self.documents
        )
        aliases, bases = self._database["adapter_aliases"], self._database["adapter_bases"]
        self.adapters = Adapters(versions, aliases, bases, self.blobs)

    async def __aenter__(self) -> Store:
        await self.ping()
        for collection in (
            self.users,
            self.sessions,
            self.conversations,
            self.generations,
            self.workers,
            self.fairness,
            self.usage,
            self.throttle,
            self.resets,
            self.second_steps,
            self.keys,
            self.audit,
            self.grants,
            self.blobs,
            self.pictures,
            self.search,
            self.shares,
            self.votes,
            self.comparisons,
            self.pairings,
            self.documents,
            self.reindexings,
            self.document_collections,
            self.digests,
            self.personal,
            self.adapters,
        ):
            await collection.ensure_indexes()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._client.close()

    @translated
    async def ping(self) -> None:
        """Raises StoreUnavailable if the server does not answer in time."""
        await self._client.admin.command("ping")

    @translated
    async def server_version(self) -> str:
        return str((await self._client.admin.command("buildInfo"))["version"])

    @translated
    async def server_time(self) -> datetime | None:
        """The clock of the server's host; None if it does not tell."""
        told = (await self._client.admin.command("hello")).get("localTime")
        return told if isinstance(told, datetime) and told.tzinfo else None

    @translated
    async def drop(self) -> None:
        """Delete the whole database (tests only)."""
        await self._client.drop_database(self._database.name)
