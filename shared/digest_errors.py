"""What can be wrong with an article that is to be digested. Part of the tree in shared/errors.py; what its file may be
is in shared/document_errors.py."""

from __future__ import annotations

from shared.document_errors import DocumentError
from shared.errors import InputError


class DigestError(InputError):
    """Any of those below."""

    code = "digest"


class DigestEmpty(DigestError):
    """Nothing was sent, or only white space."""

    code = "digest_empty"


class DigestTooLarge(DigestError):
    """Facts: limit (KiB)."""

    code = "digest_too_large"


class DigestJsonInvalid(DigestError):
    """A file of JSON that is not of the published form. Facts: where."""

    code = "digest_json_invalid"


class DigestWithoutText(DigestError):
    """After markup and code are gone, too little is left. Facts: limit (letters)."""

    code = "digest_without_text"


class DigestOfPicture(DigestError):
    """A scan: nothing reads its letters here."""

    code = "digest_of_picture"


class DigestLanguageUnknown(DigestError):
    """Neither Korean nor English."""

    code = "digest_language_unknown"


class DigestLanguageOther(DigestError):
    """Not what its sender says. Facts: said, found (ko or en)."""

    code = "digest_language_other"


class DigestsFull(DigestError):
    """Facts: limit (digests of one person)."""

    code = "digests_full"


class TooManyArticles(DigestError):
    """In one batch; none was kept. Facts: limit."""

    code = "too_many_articles"


class DigestTooManyAttempts(DigestError):
    """Making it failed several times without a fault that we know."""

    code = "digest_too_many_attempts"


REFUSALS = DocumentError, DigestError  # what ends the making of a digest for good
