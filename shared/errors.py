"""Everything that can go wrong, as one tree.

    NunmalError
    ├── ConfigError             a setting or a file at start is wrong: one line, exit code 2
    ├── InputError              a person or a client sent something we refuse
    │   ├── MessageEmpty  MessageTooLong  MessageInvalid
    │   ├── EmailInvalid  EmailTaken  NameInvalid
    │   ├── TooManyKeys  ScopesEmpty  AccountUnknown  ReasonInvalid
    │   ├── PictureEmpty  PictureKindUnknown  PictureTooLarge  PictureTooManyPixels  PictureAnimated
    │   ├── PictureColoursUnknown  PictureBroken  TooManyPictures  PictureUnknown  PicturesFull  AddressRefused
    │   ├── AdapterNameInvalid  AdapterVersionUnknown  AdapterBaseUnknown  AdapterInUse  AdapterRetired
    │   ├── AdapterNothingBefore  CanaryShareInvalid
    │   ├── about a conversation: shared/conversation_errors.py
    │   ├── of comparing two answers: shared/comparison_errors.py
    │   ├── of searching, tagging, sharing and importing: shared/organising_errors.py
    │   └── PasswordTooShort  PasswordTooLong  PasswordGuessable
    ├── AccessError             who asks may not have it
    │   ├── LoginFailed  LoginRequired  CsrfFailed  Forbidden  GrantEnded
    │   ├── PasswordWrong  CodeWrong  SecondStepChanged  LinkEnded
    │   └── NotFound
    ├── Busy                    this conversation is already being answered
    ├── AdapterBusy             a version of this adapter is being rolled out
    ├── GateLost                a version answers worse than what is in use; that stays
    ├── RolloutFailed           a version did not come into use; the one before stays
    ├── LimitReached            this person has to wait until some of what they asked for is done or past
    │   ├── TooManyAnswers  TokensPerMinuteExceeded  TokensPerDayExceeded  TooManyTries
    ├── ServiceError            a part of the house is away; trying again later helps
    │   ├── StoreUnavailable  BrokerUnavailable  QueueFull  TooBusy  SearchUnavailable (there)
    ├── GenerationError         one answer failed; the worker lives on
    │   ├── PromptTooLong  PromptRefused  GenerationCrashed  TooManyAttempts  DeadlineExceeded  SchemaUnsupported
    │   ├── PicturesUnsupported  PictureGone  AdapterUnknown  UpstreamCannot  UpstreamRefused
    ├── AuditBroken             the audit chain is not what was written
    ├── ModelError              a model directory cannot be loaded
    ├── AdapterRefused          an adapter's files are not what is served here; what was there before stays. By rule:
    │   └── shared/adapters/refusals.py
    └── EngineLost              the engine's process has ended; another worker continues its answers

Each class has a stable `code` (the key of its sentence in every language), says whether trying again can
help (`retryable`), and carries its facts as keyword arguments, which the sentence may name.
"""

from __future__ import annotations

from typing import ClassVar

Fact = str | int | float


class NunmalError(Exception):
    """Base of the tree. `facts` are shown to people: never put secrets or other people's words there."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", **facts: Fact) -> None:
        self.facts: dict[str, Fact] = facts
        detail = ", ".join(f"{name}={value}" for name, value in facts.items())
        super().__init__(message or f"{self.code} ({detail})" if detail else message or self.code)


class ConfigError(NunmalError):
    code = "config"


class InputError(NunmalError):
    code = "input"


class MessageEmpty(InputError):
    code = "message_empty"


class MessageTooLong(InputError):
    """Facts: length, limit (characters)."""

    code = "message_too_long"


class MessageInvalid(InputError):
    """Not valid text: broken UTF-8, NUL, a lone surrogate."""

    code = "message_invalid"


class EmailInvalid(InputError):
    code = "email_invalid"


class EmailTaken(InputError):
    code = "email_taken"


class NameInvalid(InputError):
    code = "name_invalid"


class PasswordTooShort(InputError):
    """Facts: limit (characters)."""

    code = "password_too_short"


class PasswordTooLong(InputError):
    """Facts: limit (UTF-8 bytes), syllables (how many Hangul syllables that is)."""

    code = "password_too_long"


class PasswordGuessable(InputError):
    """What others would try first, however long it is."""

    code = "password_guessable"


class TooManyKeys(InputError):
    """Facts: limit (API keys of one account)."""

    code = "too_many_keys"


class ScopesEmpty(InputError):
    """An API key that may do nothing, or something we do not know."""

    code = "scopes_empty"


class AccountUnknown(InputError):
    """For operators only: to anybody else an account that is not there looks like any other."""

    code = "account_unknown"


class ReasonInvalid(InputError):
    """Facts: least, most (characters)."""

    code = "reason_invalid"


class PictureEmpty(InputError):
    """A file without a byte."""

    code = "picture_empty"


class PictureKindUnknown(InputError):
    """Its first bytes are of no PNG, JPEG, WebP or HEIC, whatever its name says."""

    code = "picture_kind_unknown"


class PictureTooLarge(InputError):
    """Facts: limit (MiB)."""

    code = "picture_too_large"


class PictureTooManyPixels(InputError):
    """Facts: width, height (pixels), limit (megapixels)."""

    code = "picture_too_many_pixels"


class PictureAnimated(InputError):
    """More than one frame."""

    code = "picture_animated"


class PictureColoursUnknown(InputError):
    """For print (CMYK), without a profile that says what its inks look like."""

    code = "picture_colours_unknown"


class PictureBroken(InputError):
    """Cut short or damaged."""

    code = "picture_broken"


class TooManyPictures(InputError):
    """Facts: limit (pictures of one message)."""

    code = "too_many_pictures"


class PictureUnknown(InputError):
    """No picture of this person's, or no more."""

    code = "picture_unknown"


class PicturesFull(InputError):
    """Facts: limit (pictures of one person), limit_mib (MiB of them)."""

    code = "pictures_full"


class AddressRefused(InputError):
    """A picture by its address: nobody here fetches what somebody names."""

    code = "address_refused"


class AdapterNameInvalid(InputError):
    """Of an adapter, or of a version (`name@12hex`)."""

    code = "adapter_name_invalid"


class AdapterVersionUnknown(InputError):
    """Facts: adapter."""

    code = "adapter_version_unknown"


class AdapterBaseUnknown(InputError):
    """No worker ever described the base that this adapter was trained on. Facts: adapter, base."""

    code = "adapter_base_unknown"


class AdapterInUse(InputError):
    """Facts: adapter."""

    code = "adapter_in_use"


class AdapterRetired(InputError):
    """Facts: adapter."""

    code = "adapter_retired"


class AdapterNothingBefore(InputError):
    """No earlier version to go back to. Facts: adapter."""

    code = "adapter_nothing_before"


class CanaryShareInvalid(InputError):
    """Not from 0 to 100 percent."""

    code = "canary_share_invalid"


class AccessError(NunmalError):
    code = "access"


class LoginFailed(AccessError):
    code = "login_failed"


class PasswordWrong(AccessError):
    """Of somebody who is logged in and changes what a thief of the session must not change."""

    code = "password_wrong"


class CodeWrong(AccessError):
    """Of the second step: wrong, too old, or used before."""

    code = "code_wrong"


class SecondStepChanged(AccessError):
    """Meanwhile it was switched on or off, or its set-up took too long."""

    code = "second_step_changed"


class SecondStepRequired(AccessError):
    """What this account may do needs a second step, and it has none."""

    code = "second_step_required"


class LinkEnded(AccessError):
    """A one-time link that is unknown, used or too old."""

    code = "link_ended"


class LoginRequired(AccessError):
    code = "login_required"


class CsrfFailed(AccessError):
    code = "csrf_failed"


class Forbidden(AccessError):
    code = "forbidden"


class GrantEnded(AccessError):
    """The time is over in which an operator might read somebody's conversations."""

    code = "grant_ended"


class NotFound(AccessError):
    code = "not_found"


class Busy(NunmalError):
    code = "busy"
    retryable = True


class AdapterBusy(NunmalError):
    """Facts: adapter (the version that is being rolled out)."""

    code = "adapter_busy"
    retryable = True


class GateLost(NunmalError):
    """A version answers the gate's questions worse than what is in use, beyond chance. Facts: adapter, difference, low,
    high (percentage points)."""

    code = "gate_lost"


class RolloutFailed(NunmalError):
    """Facts: adapter, reason."""

    code = "rollout_failed"


class LimitReached(NunmalError):
    """Facts: limit, retry_after_s (seconds)."""

    code = "limit_reached"
    retryable = True


class TooManyAnswers(LimitReached):
    """The limit is of answers waiting or running."""

    code = "too_many_answers"


class TokensPerMinuteExceeded(LimitReached):
    code = "tokens_per_minute"


class TokensPerDayExceeded(LimitReached):
    code = "tokens_per_day"


class TooManyStreams(LimitReached):
    """The limit is of streams that one person has open at one node."""

    code = "too_many_streams"


class TooManyTries(LimitReached):
    """Passwords or codes were tried too often, or forms sent too often. Fact: retry_after_s (no limit is told)."""

    code = "too_many_tries"


class ServiceError(NunmalError):
    code = "service"
    retryable = True


class StoreUnavailable(ServiceError):
    code = "store_unavailable"


class BrokerUnavailable(ServiceError):
    code = "broker_unavailable"


class QueueFull(ServiceError):
    """Facts: retry_after_s (seconds), where it was measured."""

    code = "queue_full"


class TooBusy(ServiceError):
    """This node has as much to do as it can bear; nothing was kept. Facts: retry_after_s (seconds)."""

    code = "too_busy"


class GenerationError(NunmalError):
    code = "generation"


class PromptTooLong(GenerationError):
    """Facts: tokens, limit."""

    code = "prompt_too_long"


class PromptRefused(GenerationError):
    """The model's chat template takes no conversation with these turns in this order."""

    code = "prompt_refused"


class SchemaUnsupported(GenerationError):
    """The JSON Schema of an answer is not valid, has a keyword we cannot keep to, or is too large. Fact: reason."""

    code = "schema_unsupported"


class PicturesUnsupported(GenerationError):
    """The model has no eyes."""

    code = "pictures_unsupported"


class PictureGone(GenerationError):
    """A picture of this conversation is not in the store any more, or cannot be read."""

    code = "picture_gone"


class AdapterUnknown(GenerationError):
    """Facts: adapter (no adapter of this name is loaded)."""

    code = "adapter_unknown"


class GenerationCrashed(GenerationError):
    code = "generation_crashed"


class UpstreamCannot(GenerationError):
    """The server that runs this model has no such parameter. Fact: param."""

    code = "upstream_cannot"


class UpstreamRefused(GenerationError):
    """The server that runs this model did not take the request. Fact: status (of HTTP)."""

    code = "upstream_refused"


class TooManyAttempts(GenerationError):
    """Facts: attempts."""

    code = "too_many_attempts"


class DeadlineExceeded(GenerationError):
    code = "deadline_exceeded"


class AuditBroken(NunmalError):
    """Facts: number (the first record that is missing or not what was written)."""

    code = "audit_broken"


class ModelError(NunmalError):
    """Facts: model, reason."""

    code = "model"


class AdapterRefused(NunmalError):
    """Facts: adapter, reason; by rule (shared/adapters/refusals.py) also file and value."""

    code = "adapter_refused"


class EngineLost(NunmalError):
    code = "engine_lost"
