"""The kinds of values that requests have: text made clean at the door, and what is known but without effect here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.errors import MessageInvalid
from web.api.problems import UNSUPPORTED
from web.forms import tidy


class Body(BaseModel):
    """A JSON object: no unknown names, no numbers in strings."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _clean(text: str) -> str:
    try:
        return tidy(text, len(text))
    except MessageInvalid as error:
        raise PydanticCustomError("text_invalid", "NUL or too many combining marks") from error


Text = Annotated[str, AfterValidator(_clean)]  # NFC, storable
Penalty = Annotated[float, Field(ge=-2, le=2)]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
TopK = Annotated[int, Field(ge=-1, le=2**31 - 1)]
TokenLimit = Annotated[int, Field(ge=1, le=2**31 - 1)]


@dataclass(frozen=True)
class Only:
    """Takes null and these values, which change nothing. Whatever else OpenAI knows there, we cannot do: refused by
    name, never silently ignored."""

    values: tuple[Any, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": [None, *self.values]}

    def _checked(self, value: Any) -> Any:
        if value is None or any(type(value) is type(known) and value == known for known in self.values):
            return value
        raise PydanticCustomError(UNSUPPORTED, "not supported")
