"""The settings of a conversation as a form has them: text, kept as it was typed where it is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from shared.chat import ConversationSettings, Style
from shared.conversation_errors import InstructionsTooLong, SettingInvalid
from web.forms import tidy

MOST_INSTRUCTION_CHARACTERS = 2000
_MOST_TEMPERATURE = 2.0  # as in /v1 (web/api/requests.py)
_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SettingsFields:
    """What stands in the fields."""

    instructions: str = ""
    style: str = ""
    temperature: str = ""
    top_p: str = ""
    max_new_tokens: str = ""

    @property
    def is_changed(self) -> bool:
        return self != SettingsFields()


def fields_of(settings: ConversationSettings) -> SettingsFields:
    """Empty where the model's own default holds."""
    return SettingsFields(
        settings.instructions,
        str(settings.style),
        _typed(settings.temperature),
        _typed(settings.top_p),
        _typed(settings.max_new_tokens),
    )


def posted_fields(form: Mapping[str, str]) -> SettingsFields | None:
    """None if the form has none."""
    if "instructions" not in form:
        return None
    return SettingsFields(*(form.get(name, "") for name in SettingsFields.__dataclass_fields__))


def settings_from(fields: SettingsFields) -> ConversationSettings:
    """Raises InstructionsTooLong, MessageInvalid, SettingInvalid."""
    instructions = tidy(fields.instructions, MOST_INSTRUCTION_CHARACTERS).strip()
    if len(instructions) > MOST_INSTRUCTION_CHARACTERS:
        raise InstructionsTooLong(length=len(instructions), limit=MOST_INSTRUCTION_CHARACTERS)
    try:
        style = Style(fields.style)
    except ValueError as error:
        raise SettingInvalid from error
    longest = _number(fields.max_new_tokens, 1, _MOST_TOKENS)
    if longest is not None and not longest.is_integer():
        raise SettingInvalid
    return ConversationSettings(
        instructions,
        style,
        _number(fields.temperature, 0, _MOST_TEMPERATURE),
        _number(fields.top_p, 0, 1),
        None if longest is None else int(longest),
    )


def _typed(number: float | None) -> str:
    return "" if number is None else str(number)


def _number(text: str, least: float, most: float) -> float | None:
    """None if nothing was typed. Raises SettingInvalid."""
    if not (text := text.strip()):
        return None
    try:
        number = float(text[:32])
    except ValueError as error:
        raise SettingInvalid from error
    if not (math.isfinite(number) and least <= number <= most):
        raise SettingInvalid
    return number
