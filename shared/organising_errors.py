"""What can go wrong with one's own conversations as a library. Part of the tree in shared/errors.py."""

from __future__ import annotations

from shared.errors import InputError, ServiceError


class SearchTooLong(InputError):
    """Facts: limit (characters), words."""

    code = "search_too_long"


class SearchTooShort(InputError):
    """A single initial letter stands for too many words."""

    code = "search_too_short"


class TagInvalid(InputError):
    """Facts: limit (characters)."""

    code = "tag_invalid"


class TooManyTags(InputError):
    """Facts: limit (of one conversation)."""

    code = "too_many_tags"


class NothingChosen(InputError):
    """Something was to be done with the ticked conversations, and none was."""

    code = "nothing_chosen"


class NothingToShare(InputError):
    """No answer of the conversation is over."""

    code = "nothing_to_share"


class ShareTooLarge(InputError):
    """Facts: limit_mib."""

    code = "share_too_large"


class TooManyShares(InputError):
    """Facts: limit (links of one person)."""

    code = "too_many_shares"


class ImportEmpty(InputError):
    """No file was chosen, or one without a byte."""

    code = "import_empty"


class ImportUnreadable(InputError):
    """No JSON, or of none of the shapes that are read."""

    code = "import_unreadable"


class SearchUnavailable(ServiceError):
    """The process that takes words apart did not answer; it is started anew."""

    code = "search_unavailable"
