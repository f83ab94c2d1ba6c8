"""Which JSON Schemas an answer can be held to, told before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from shared.errors import SchemaUnsupported
from shared.json_schema import LONGEST_SCHEMA, byte_tokenizer, check_schema, matcher_of

TWO = {"이름": {"type": "string"}, "나이": {"type": "integer"}}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": TWO, "required": ["이름", "나이"], "additionalProperties": False},
        {"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"},
        {"type": "array", "items": {"enum": ["가", "나", 3, None]}, "minItems": 1, "maxItems": 3},
        {"anyOf": [{"type": "string", "pattern": "^[가-힣]+$"}, {"type": "number", "minimum": 0}]},
    ],
)
def test_a_schema_we_can_keep_passes(schema: dict[str, Any]) -> None:
    check_schema(json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ('{"type":', "Expecting value"),
        ("[]", "object"),
        ('{"maximum":NaN}', "expected value"),
        ('{"const":"\\ud800"}', "hex escape"),
        ('{"type":"strange"}', "Invalid type: strange"),
        ('{"type":"array","uniqueItems":true}', "uniqueItems"),
        ('{"not":{"type":"string"}}', "not"),
        ('{"type":"integer","minimum":3,"maximum":2}', "minimum"),
        ('{"$ref":"#"}', "no JSON satisfies it"),
        ('{"$ref":"https://example.com/schema.json"}', "fetch"),
        ('{"type":"string","pattern":"(?=a)b"}', "regex"),
        ('{"x-guidance":{"lenient":true},"not":{}}', "not"),
        ('{"items":' * 200 + "{}" + "}" * 200, "recursion"),
        ('{"items":' * 5000 + "{}" + "}" * 5000, "deep"),
        (json.dumps({"enum": ["가" * 100] * 1000}, ensure_ascii=False), f"more than {LONGEST_SCHEMA} bytes"),
    ],
)
def test_a_schema_we_cannot_keep_is_refused_with_its_reason_in_one_short_line(schema: str, reason: str) -> None:
    with pytest.raises(SchemaUnsupported) as caught:
        check_schema(schema)

    told = str(caught.value.facts["reason"])
    assert reason in told
    assert len(told) <= 200
    assert "\n" not in told


@pytest.mark.parametrize(
    ("schema", "other", "is_allowed"),
    [
        ({"properties": TWO}, '{"x', False),
        ({"properties": TWO, "required": ["x"]}, '{"x', True),
        ({"properties": TWO, "additionalProperties": {"type": "null"}}, '{"x', True),
        ({"allOf": [{"properties": TWO}, {"properties": {"x": {}}}]}, '{"x', True),
        ({"properties": {"a": {"properties": TWO}}}, '{"a":{"x', False),
        ({"properties": {"a": {"properties": TWO}}, "anyOf": [{"required": ["x"]}, {}]}, '{"x', True),
        ({"properties": {"a": {"const": {"properties": {}}}}}, '{"a":{"properties":{}}', True),
    ],
)
def test_an_object_gets_no_properties_but_those_told_unless_schemas_are_combined(
    schema: dict[str, Any], other: str, is_allowed: bool
) -> None:
    matcher = matcher_of(json.dumps(schema | {"type": "object"}), byte_tokenizer())

    assert (matcher.try_consume_tokens(list(other.encode())) == len(other)) == is_allowed


def test_a_web_node_can_check_schemas_without_tensors() -> None:
    check = "import sys; from shared.json_schema import check_schema; check_schema('{}')"
    code = f"{check}; print({{'torch', 'transformers', 'numpy'}} & {{*sys.modules}})"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "set()"


_GREEDY = ".*a.{12}%d.*"
_NUMBERS = range(14)


def _texts(*, beside: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [{"type": "string", "pattern": _GREEDY % number, **(beside or {})} for number in _NUMBERS]


def _chained() -> dict[str, Any]:
    links = {f"d{number}": {**text, "$ref": f"#/$defs/d{number + 1}"} for number, text in enumerate(_texts())}
    return {"$defs": {**links, "d14": {"type": "string"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": _texts()},
        {"allOf": [{"allOf": _texts()[:7]}, {"anyOf": [{"allOf": _texts()[7:]}]}]},
        {"allOf": [{"type": "object", "properties": {"a": text}} for text in _texts()]},
        {"const": _texts(), "allOf": [{"$ref": f"#/const/{number}"} for number in _NUMBERS]},
        {"type": "array", "items": {"anyOf": [{"allOf": _texts()}, {}]}},
        {"type": "object", "patternProperties": {_GREEDY % number: {} for number in _NUMBERS}},
        {"type": "object", "properties": {f"p{number}": {} for number in range(2001)}},
        {"type": "integer", "multipleOf": 99_999_989},
        {"type": "number", "multipleOf": 9999.9989},
        {"allOf": [{"type": "integer", "multipleOf": step} for step in (101, 103, 107, 109)]},
        {"type": "string", "pattern": "a" * 1001},
        {"type": "string", "pattern": "a{3,10001}"},
        {"anyOf": [{"type": "string", "pattern": str(number)} for number in range(101)]},
        _chained(),
    ],
)
def test_a_schema_that_would_keep_a_core_busy_is_refused_at_once(schema: dict[str, Any]) -> None:
    started = time.process_time()
    with pytest.raises(SchemaUnsupported, match=r"more than|beyond"):
        check_schema(json.dumps(schema))

    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {f"p{number}": text for number, text in enumerate(_texts())}},
        {"anyOf": _texts(beside={"minLength": 20})},
        {"type": "object", "properties": {"pattern": {"type": "string"}, "allOf": {"type": "integer"}}},
        {"type": "number", "multipleOf": 0.01},
        {"type": "integer", "multipleOf": 1000},
        {"allOf": [{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "z$"}]},
    ],
)
def test_patterns_that_stand_apart_are_no_burden(schema: dict[str, Any]) -> None:
    check_schema(json.dumps(schema))
