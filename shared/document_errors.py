"""What can be wrong with a document that somebody uploads. Part of the tree in shared/errors.py."""

from __future__ import annotations

from shared.errors import InputError, NunmalError


class DocumentError(InputError):
    """Any of those below."""

    code = "document"


class DocumentEmpty(DocumentError):
    """No file, or one without a byte."""

    code = "document_empty"


class DocumentKindUnknown(DocumentError):
    """Neither its first bytes nor its text are of a kind we read, whatever its name says."""

    code = "document_kind_unknown"


class DocumentTooLarge(DocumentError):
    """Facts: limit (MiB)."""

    code = "document_too_large"


class DocumentsFull(DocumentError):
    """Facts: limit (documents of one person), limit_mib (MiB of them)."""

    code = "documents_full"


class TooManyDocuments(DocumentError):
    """In one form; none was kept. Facts: limit."""

    code = "too_many_documents"


class DocumentEncrypted(DocumentError):
    """It asks for a password."""

    code = "document_encrypted"


class DocumentHasMacros(DocumentError):
    code = "document_has_macros"


class DocumentTooManyPages(DocumentError):
    """Facts: limit (pages)."""

    code = "document_too_many_pages"


class DocumentUnpacksTooFar(DocumentError):
    """An archive that holds far more than it weighs. Facts: limit (MiB)."""

    code = "document_unpacks_too_far"


class DocumentWithoutText(DocumentError):
    """Nothing can be read in it: perhaps a scan, whose letters are pictures."""

    code = "document_without_text"


class DocumentBroken(DocumentError):
    """Damaged, or its parser crashed or took too long."""

    code = "document_broken"


class OcrUnavailable(DocumentError):
    """A page without text, and no program here that reads pictures of it. Of a page, or of all."""

    code = "ocr_unavailable"


class OcrFailed(DocumentError):
    """That program crashed or took too long. Of a page, or of all."""

    code = "ocr_failed"


class IndexUnlike(DocumentError):
    """This worker's settings make another index than the one that was asked for. Facts: index."""

    code = "index_unlike"


class DocumentTooManyAttempts(DocumentError):
    """Reading it failed several times without a fault that we know."""

    code = "document_too_many_attempts"


class ReindexIncomplete(NunmalError):
    """Some documents keep the index they had. Facts: count."""

    code = "reindex_incomplete"


class CollectionNameInvalid(InputError):
    """Empty or too long. Facts: limit (characters)."""

    code = "collection_name_invalid"


class TooManyCollections(InputError):
    """Facts: limit (collections of one person)."""

    code = "too_many_collections"


class CollectionFull(InputError):
    """Facts: limit (documents in one collection), limit_mib (MiB of them)."""

    code = "collection_full"


class DocumentQuestionInvalid(InputError):
    """Empty or too long. Facts: limit (characters)."""

    code = "document_question_invalid"


REFUSALS: dict[str, type[DocumentError]] = {kind.code: kind for kind in DocumentError.__subclasses__()}
