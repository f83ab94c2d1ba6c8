"""What the API refuses, each with the code that OpenAI's clients know. Facts: `param`, the path of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shared.errors import AccessError, InputError, NotFound, ServiceError

UNSUPPORTED = "unsupported"  # the pydantic error type of what we know but cannot do (web/api/fields.py)
_MOST_PATH_CHARACTERS = 200
_NOT_YET = frozenset({"tool", "function", "input_audio", "file", "refusal"})  # roles and kinds of parts
_TYPES = {
    "string": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "model": "object",
}


class ApiKeyInvalid(AccessError):
    """Missing, unknown, expired or revoked."""

    code = "invalid_api_key"


class ScopeMissing(AccessError):
    """Facts: scope."""

    code = "insufficient_scope"


class ModelUnknown(NotFound):
    """Facts: param, model."""

    code = "model_not_found"


class DocumentUnknown(NotFound):
    """Or somebody else's."""

    code = "document_not_found"


class DocumentAnswerUnknown(NotFound):
    """Or somebody else's."""

    code = "document_answer_not_found"


class CollectionUnknown(NotFound):
    """Or somebody else's."""

    code = "collection_not_found"


class NodeEnding(ServiceError):
    """This web node ends before the answer does."""

    code = "node_ending"


class BodyInvalid(InputError):
    """Not a JSON object in UTF-8."""

    code = "invalid_json"


class ContentTypeUnknown(InputError):
    code = "unsupported_media_type"


class ParameterInvalid(InputError):
    code = "invalid_value"


class ParameterUnknown(ParameterInvalid):
    code = "unknown_parameter"


class ParameterUnsupported(ParameterInvalid):
    code = "unsupported_parameter"


class ParameterMissing(ParameterInvalid):
    code = "missing_required_parameter"


class ParameterTypeWrong(ParameterInvalid):
    """Facts: expected (a JSON type)."""

    code = "invalid_type"


class ParameterNotOffered(ParameterInvalid):
    """Facts: expected (what there is to choose from)."""

    code = "unsupported_value"


class ParameterTooSmall(ParameterInvalid):
    """Facts: limit."""

    code = "below_min_value"


class ParameterTooLarge(ParameterInvalid):
    """Facts: limit."""

    code = "above_max_value"


class ParameterTooShort(ParameterInvalid):
    """Facts: limit (characters or items)."""

    code = "below_min_length"


class ParameterTooLong(ParameterInvalid):
    """Facts: limit (characters or items)."""

    code = "above_max_length"


class ContextExceeded(ParameterInvalid):
    """It cannot fit what the model reads at once, by its length alone. Facts: limit (characters)."""

    code = "context_length_exceeded"


class ParametersConflict(ParameterInvalid):
    """Facts: other (the parameter it cannot stand beside, or without)."""

    code = "invalid_parameter_combination"


def refusal_of(error: ValidationError, body: Any) -> ParameterInvalid:
    """The most telling thing wrong with `body`: what we cannot do yet, else what lies deepest."""
    refusals = []
    for problem in error.errors(include_url=False):
        path = _path(problem["loc"], body, is_missing=problem["type"] == "missing")
        refusals.append((len(path), _refusal(path, problem)))
    for _, refusal in refusals:
        if isinstance(refusal, ParameterUnsupported):
            return refusal
    return max(refusals, key=lambda each: (each[0], not isinstance(each[1], ParameterTypeWrong)))[1]


def _refusal(path: Sequence[str | int], problem: Mapping[str, Any]) -> ParameterInvalid:
    kind, context, param = str(problem["type"]), problem.get("ctx", {}), _written(path)
    if kind == UNSUPPORTED or (kind == "literal_error" and _is_known(problem["input"])):
        return ParameterUnsupported(param=param)
    match kind:
        case "missing":
            return ParameterMissing(param=param)
        case "union_tag_not_found":
            return ParameterMissing(param=_written([*path, "type"]))
        case "union_tag_invalid" if _is_known(context["tag"]):
            return ParameterUnsupported(param=_written([*path, "type"]))
        case "union_tag_invalid":
            return ParameterNotOffered(param=_written([*path, "type"]), expected=context["expected_tags"])
        case "extra_forbidden":
            return ParameterUnknown(param=param)
        case "literal_error":
            return ParameterNotOffered(param=param, expected=context["expected"])
        case "greater_than_equal":
            return ParameterTooSmall(param=param, limit=context["ge"])
        case "less_than_equal":
            return ParameterTooLarge(param=param, limit=context["le"])
        case "too_short" | "string_too_short":
            return ParameterTooShort(param=param, limit=context["min_length"])
        case "too_long" | "string_too_long":
            return ParameterTooLong(param=param, limit=context["max_length"])
    name, _, rest = kind.partition("_")
    if rest in ("type", "attributes_type") and name in _TYPES:
        return ParameterTypeWrong(param=param, expected=_TYPES[name])
    return ParameterInvalid(param=param)


def _is_known(value: object) -> bool:
    """OpenAI's API takes it where it stands."""
    return isinstance(value, str) and value in _NOT_YET


def _path(location: Sequence[str | int], body: Any, *, is_missing: bool) -> list[str | int]:
    """Where in `body` it is, or would be: pydantic's locations also name the branches of unions."""
    path: list[str | int] = []
    at = body
    for step in location[: -1 if is_missing else None]:
        if (isinstance(at, dict) and step in at) or (isinstance(at, list) and isinstance(step, int) and step < len(at)):
            path.append(step)
            at = at[step]  # type: ignore[index]  # checked above
    return [*path, location[-1]] if is_missing else path


def _written(path: Sequence[str | int]) -> str:
    """`messages[0].content`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text[:_MOST_PATH_CHARACTERS]
