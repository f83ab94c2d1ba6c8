"""Everything that can go wrong, as one tree.

    NunmalError
    ├── ConfigError             a setting or a file at start is wrong: one line, exit code 2
    ├── InputError              a person or a client sent something we refuse
    │   ├── MessageEmpty  MessageTooLong  MessageInvalid
    │   ├── EmailInvalid  EmailTaken  NameInvalid
    │   └── PasswordTooShort  PasswordTooLong
    ├── AccessError             who asks may not have it
    │   ├── LoginFailed  LoginRequired  CsrfFailed  Forbidden
    │   └── NotFound
    ├── Busy                    this conversation is already being answered
    ├── LimitReached            this person has to wait until some of what they asked for is done or past
    │   ├── TooManyAnswers  TokensPerMinuteExceeded  TokensPerDayExceeded
    ├── ServiceError            a part of the house is away; trying again later helps
    │   ├── StoreUnavailable  BrokerUnavailable  QueueFull
    ├── GenerationError         one answer failed; the worker lives on
    │   ├── PromptTooLong  GenerationCrashed  TooManyAttempts  DeadlineExceeded
    └── ModelError              a model directory cannot be loaded

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


class AccessError(NunmalError):
    code = "access"


class LoginFailed(AccessError):
    code = "login_failed"


class LoginRequired(AccessError):
    code = "login_required"


class CsrfFailed(AccessError):
    code = "csrf_failed"


class Forbidden(AccessError):
    code = "forbidden"


class NotFound(AccessError):
    code = "not_found"


class Busy(NunmalError):
    code = "busy"
    retryable = True


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


class GenerationError(NunmalError):
    code = "generation"


class PromptTooLong(GenerationError):
    """Facts: tokens, limit."""

    code = "prompt_too_long"


class GenerationCrashed(GenerationError):
    code = "generation_crashed"


class TooManyAttempts(GenerationError):
    """Facts: attempts."""

    code = "too_many_attempts"


class DeadlineExceeded(GenerationError):
    code = "deadline_exceeded"


class ModelError(NunmalError):
    """Facts: model, reason."""

    code = "model"
