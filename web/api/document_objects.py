"""What /v1/documents answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from web.api.objects import ApiObject, Error, JobStatus


class Document(ApiObject):
    id: str
    object: Literal["document"]
    name: str
    kind: str
    size_bytes: int
    status: Literal["waiting", "reading", "ready", "failed"]
    pages: int | None = Field(description="Null until it was counted.")
    pages_done: int
    pages_unread: int = Field(description="Pages whose letters could not be read.")
    eta_s: float | None = Field(description="While it is read: as fast as the pages before. Null: nobody can tell.")
    error: Error | None
    created: int
    collection: str | None = Field(description="The collection it lies in.")
    status_url: str


class DocumentList(ApiObject):
    object: Literal["list"]
    data: list[Document]


class DocumentDeleted(ApiObject):
    id: str
    object: Literal["document.deleted"]
    deleted: bool


class DocumentCollection(ApiObject):
    id: str
    object: Literal["document.collection"]
    name: str
    documents: list[str] = Field(description="Ids of what lies in it.")
    size_bytes: int
    created: int


class DocumentCollectionList(ApiObject):
    object: Literal["list"]
    data: list[DocumentCollection]


class DocumentCollectionDeleted(ApiObject):
    id: str
    object: Literal["document.collection.deleted"]
    deleted: bool


class DocumentCitation(ApiObject):
    """`quote` is the page's text from `start` to `end`, in code points; `before` and `after` are its neighbours."""

    document: str
    name: str
    page: int
    start: int
    end: int
    before: str
    quote: str
    after: str


class DocumentSource(ApiObject):
    """A passage that a model was shown: the page's text from `start` to `end`, in code points."""

    document: str
    name: str
    page: int
    start: int
    end: int


class DocumentClaim(ApiObject):
    """A sentence of a written answer."""

    text: str
    sources: list[int] = Field(
        description="Numbers of sources, from 1, that have its numbers, names and most of its words; empty: none has."
    )


class DocumentWriting(ApiObject):
    """An answer that a model writes from `sources`."""

    id: str
    object: Literal["document.writing"]
    status: JobStatus
    question: str
    model: str
    text: str = Field(description="What is written so far, without references; whole when it is over.")
    claims: list[DocumentClaim] | None = Field(description="Once it is over. Null: they cannot be looked up now.")
    sources: list[DocumentSource]
    error: Error | None
    created: int
    status_url: str
    stream_url: str


class DocumentAnswerDeleted(ApiObject):
    id: str
    object: Literal["document.writing.deleted"]
    deleted: bool


class DocumentAnswer(ApiObject):
    """Sentences of the documents, word for word; none: the documents say nothing about it."""

    object: Literal["document.answer"]
    question: str
    documents: int = Field(description="How many were looked at.")
    citations: list[DocumentCitation]
    written: DocumentWriting | None = Field(
        description="Null: it was not asked for, nothing was found, or no model writes here now."
    )
