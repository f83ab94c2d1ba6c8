"""The page /documents: one's documents, all of them or those of one collection, and what they say."""

from __future__ import annotations

from quart import Response, render_template

from shared.documents import MOST_COLLECTION_NAME_CHARACTERS, MOST_QUESTION_CHARACTERS
from shared.errors import NotFound, NunmalError
from web.documents.answering import Answer
from web.documents.collecting import Collecting, FilledCollection
from web.documents.service import DocumentService
from web.documents.views import PATH, document_views
from web.documents.writing import Writing
from web.errors import page_after
from web.visitor import Visitors

MOST_AT_ONCE = 4  # documents of one form
MOST_FILES_AT_ONCE = 24  # with the pictures that Markdown files name


class Shelf:
    def __init__(
        self, documents: DocumentService, collecting: Collecting, writing: Writing, visitors: Visitors
    ) -> None:
        self._documents = documents
        self._writing = writing
        self._collecting = collecting
        self._visitors = visitors

    async def page(
        self,
        collection_id: str = "",
        *,
        answer: Answer | None = None,
        asked: str = "",
        typed: str = "",
        error: NunmalError | None = None,
        at: str = "upload",
    ) -> Response:
        """`collection_id`: what is shown of it; all if it is empty. `at`: which form was refused, with what was
        `typed` there. Raises NotFound."""
        words = self._visitors.current().words
        body = await render_template(
            "documents.html",
            **await self._shown(collection_id),
            answer=answer,
            asked=asked,
            typed=typed,
            can_write=self._writing.is_on,
            written=await self._writing.latest(self._visitors.require_user().id),
            most_mib=self._documents.most_mib,
            most_at_once=MOST_AT_ONCE,
            most_question_characters=MOST_QUESTION_CHARACTERS,
            most_name_characters=MOST_COLLECTION_NAME_CHARACTERS,
            error=words.explain(error) if error else "",
            error_at=at,
        )
        return page_after(body, error)

    async def part(self, collection_id: str) -> str:
        """The list alone, for a page that is open. Raises NotFound."""
        return await render_template("_documents.html", **await self._shown(collection_id))

    async def _shown(self, collection_id: str) -> dict[str, object]:
        user, words = self._visitors.require_user(), self._visitors.current().words
        documents = await self._documents.all(user.id)
        collections = await self._collecting.all(user.id, documents)
        chosen: FilledCollection | None = None
        if collection_id:
            chosen = next((each for each in collections if each.collection.id == collection_id), None)
            if chosen is None:
                raise NotFound
        return {
            "documents": document_views(chosen.documents if chosen else documents, words),
            "count": len(documents),
            "collections": collections,
            "chosen": chosen,
        }


def address(collection_id: str | None) -> str:
    """Of the page that shows this collection, or all."""
    return f"{PATH}?collection={collection_id}" if collection_id else PATH
