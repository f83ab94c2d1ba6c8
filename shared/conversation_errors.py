"""What a conversation refuses: branches of the tree in shared/errors.py."""

from __future__ import annotations

from shared.errors import InputError


class NothingToContinue(InputError):
    """This answer is whole, or not there."""

    code = "nothing_to_continue"


class TooManyPins(InputError):
    """Facts: limit (turns of one conversation)."""

    code = "too_many_pins"


class SettingInvalid(InputError):
    """A number of a conversation's settings that is none, or outside its range."""

    code = "setting_invalid"


class InstructionsTooLong(InputError):
    """Facts: length, limit (characters)."""

    code = "instructions_too_long"


class TooManyHeld(InputError):
    """Facts: limit (questions that wait for the answer before them)."""

    code = "too_many_held"


class AlreadyAsked(InputError):
    """A question that is held no more cannot be taken back; it can be stopped."""

    code = "already_asked"


class NothingToVoteOn(InputError):
    """The answer is not over, has no words, or came from elsewhere."""

    code = "nothing_to_vote_on"


class VoteReasonInvalid(InputError):
    """A reason of another kind of vote, or words that are too long. Facts: limit (characters)."""

    code = "vote_reason_invalid"
