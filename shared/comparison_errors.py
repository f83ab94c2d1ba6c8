"""What comparing two answers refuses. Part of the tree in shared/errors.py."""

from __future__ import annotations

from shared.errors import InputError


class NothingToCompare(InputError):
    """No two versions are offered now."""

    code = "nothing_to_compare"


class ChoiceTooEarly(InputError):
    """One of the answers is not over, or has no words."""

    code = "choice_too_early"


class ChoiceMade(InputError):
    """The names were shown already: what was chosen stays."""

    code = "choice_made"


class PairInvalid(InputError):
    """Twice the same version, or one whose files are gone."""

    code = "pair_invalid"
