"""Which JSON Schemas an answer can be held to, told before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
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
