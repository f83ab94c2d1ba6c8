"""JSON Schemas that an answer is held to: web checks them at the door, workers turn them into masks over tokens.

The library is llguidance (its docs/json_schema.md lists the keywords it keeps). Answers are compact: no white space
outside strings. What it cannot keep is refused, never ignored; nothing is ever fetched for a `$ref`. An object whose
`properties` are told gets no others, unless the schema says that it may or combines schemas: small models would go on
inventing fields, and fewer are as valid.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from shared.errors import SchemaUnsupported
from shared.schema_limits import require_modest

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions  # exists for type checkers only

LONGEST_SCHEMA = 64 * 1024  # UTF-8 bytes
_LONGEST_REASON = 200  # characters
_NAMED = ("properties", "patternProperties", "$defs", "definitions")  # their keys are names, not keywords
_DATA = ("enum", "const", "default", "examples")
_OPENING = {"additionalProperties", "patternProperties", "unevaluatedProperties", "minProperties"}
_ASCII = "".join(map(chr, range(128)))
_COMPACT: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
    "lenient": False,
}


def check_schema(schema: str) -> None:
    """Raises SchemaUnsupported if no answer could be held to this JSON text of a schema. Takes 1 to 300 ms."""
    matcher_of(schema, byte_tokenizer())


def matcher_of(schema: str, tokenizer: LLTokenizer) -> LLMatcher:
    """The state before the first token; `deep_copy` it for every answer. Raises SchemaUnsupported."""
    if len(schema.encode()) > LONGEST_SCHEMA:
        raise SchemaUnsupported(reason=f"more than {LONGEST_SCHEMA} bytes")
    try:
        parsed = json.loads(schema)
        require_modest(parsed)
        prepared = _prepared(parsed, is_closed=not _combines(parsed))
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(prepared), overrides=_COMPACT)
    except ValueError as error:
        raise _unsupported(str(error)) from error
    except RecursionError as error:
        raise _unsupported("it is too deep") from error
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LLParserLimits(verbose_errors=False))
    if matcher.is_error():
        raise _unsupported(matcher.get_error())
    matcher.compute_bitmask()
    if matcher.is_error():
        raise SchemaUnsupported(reason="no JSON satisfies it")
    return matcher


def _unsupported(reason: str) -> SchemaUnsupported:
    return SchemaUnsupported(reason=" ".join(reason.split())[:_LONGEST_REASON])


def _prepared(schema: Any, *, is_closed: bool) -> Any:
    """The same schema with references in ASCII, as URIs are, and `is_closed`: with no properties but those told."""
    if isinstance(schema, list):
        return [_prepared(each, is_closed=is_closed) for each in schema]
    if not isinstance(schema, dict):
        return schema
    prepared: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str):
            prepared[key] = quote(value, safe=_ASCII)
        elif key in _NAMED and isinstance(value, dict):
            prepared[key] = {name: _prepared(each, is_closed=is_closed) for name, each in value.items()}
        else:
            prepared[key] = value if key in _DATA else _prepared(value, is_closed=is_closed)
    if is_closed and isinstance(properties := schema.get("properties"), dict) and not _OPENING & schema.keys():
        required = schema.get("required", ())
        if all(isinstance(name, str) and name in properties for name in required):
            prepared["additionalProperties"] = False
    return prepared


def _combines(schema: Any) -> bool:
    """Whether several schemas may describe one object, so that one of them does not know all of its properties."""
    if isinstance(schema, list):
        return any(map(_combines, schema))
    if not isinstance(schema, dict):
        return False
    alternatives = schema.keys() & {"anyOf", "oneOf", "$ref"}
    if "allOf" in schema or len(alternatives) + ("properties" in schema) > 1:
        return True
    return any(map(_combines, schema.values()))


class _Bytes:
    """A vocabulary of single bytes and an end: enough to check a schema without a model."""

    eos_token_id = 256
    bos_token_id = None
    tokens = (*(bytes([value]) for value in range(256)), b"<end>")
    special_token_ids = (256,)

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


@functools.cache
def byte_tokenizer() -> LLTokenizer:
    """One token for each byte, and 256 for the end."""
    return LLTokenizer(TokenizerWrapper(_Bytes()))
