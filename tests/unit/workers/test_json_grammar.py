"""Whatever a model would draw, its answer is compact JSON of the schema, on every worker and with every tokenizer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SchemaUnsupported
from tests.unit.workers.tokenizers_for_tests import byte_fallback, byte_level
from workers.detokenizer import Detokenizer
from workers.engine.base import Logprobs
from workers.engine.json_grammar import JsonGrammar
from workers.engine.vocabulary import Vocabulary

TOKENIZERS = [byte_level, byte_fallback]
PADDED = 450  # the model's vocabulary: more than either tokenizer has
SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"이름": {"type": "string"}, "나이": {"type": "integer"}},
        "required": ["이름", "나이"],
        "additionalProperties": False,
    },
    {"type": "object"},
    {},
    {"type": "array", "items": {"type": "number", "minimum": 10}, "minItems": 2},
    {"enum": ["가나다", "가나라", 12, None, {"속": ["값"]}]},
    {"type": "integer", "exclusiveMinimum": 0},
    {
        "$defs": {
            "가지": {
                "type": "object",
                "properties": {
                    "잎": {"type": "boolean"},
                    "가지들": {"type": "array", "items": {"$ref": "#/$defs/가지"}},
                },
                "required": ["잎"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/가지",
    },
    {"type": "string", "pattern": "^[가-힣]{2,4}$", "maxLength": 4},
    {"type": "object", "patternProperties": {"^[a-c]$": {"type": "null"}}, "additionalProperties": False},
    {"anyOf": [{"type": "string", "minLength": 3, "maxLength": 5}, {"const": '두 "낱말"\\n'}]},
]


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer, PADDED, frozenset({tokenizer.eos_token_id}))


def drawn(grammar: JsonGrammar, seed: int, limit: int) -> list[int]:
    """Tokens of a model without an opinion."""
    draws = random.Random(seed)
    state, token_ids = grammar.begin(()), list[int]()
    while not state.is_complete and len(token_ids) < limit:
        token_id = int(draws.choice(np.flatnonzero(state.allowed())))
        token_ids.append(state.settle(token_id, limit - len(token_ids)))
        state.accept(token_ids[-1:])
    assert state.is_complete
    return token_ids


def text_of(tokenizer: Any, token_ids: list[int]) -> str:
    detokenizer = Detokenizer(tokenizer, token_ids)
    detokenizer.finish()
    return detokenizer.text


@pytest.mark.parametrize("make_tokenizer", TOKENIZERS)
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema, ensure_ascii=False)[:40])
def test_every_answer_is_compact_valid_and_whole(make_tokenizer: Callable[[], Any], schema: dict[str, Any]) -> None:
    tokenizer = make_tokenizer()
    grammar = vocabulary_of(tokenizer).json_grammar(json.dumps(schema, ensure_ascii=False))

    for seed in range(25):
        text = text_of(tokenizer, drawn(grammar, seed, limit=120))

        value = json.loads(text)
        jsonschema.validate(value, schema)
        outside = "".join(text.split('"')[::2]) if "\\" not in text else ""
        assert not any(character.isspace() for character in outside), text


@pytest.mark.parametrize("make_tokenizer", TOKENIZERS)
@settings(max_examples=30, deadline=None)
@given(schema=st.sampled_from(SCHEMAS), seed=st.integers(0, 10_000), limit=st.integers(60, 120))
def test_another_worker_allows_the_same_tokens_at_every_cut(
    make_tokenizer: Callable[[], Any], schema: dict[str, Any], seed: int, limit: int
) -> None:
    tokenizer = make_tokenizer()
    asked = json.dumps(schema)
    first, second = (vocabulary_of(tokenizer).json_grammar(asked) for _ in range(2))
    token_ids = drawn(first, seed, limit)
    state = first.begin(())

    for cut, token_id in enumerate(token_ids):
        resumed = second.begin(token_ids[:cut])
        assert not resumed.is_complete
        np.testing.assert_array_equal(resumed.allowed(), state.allowed())
        assert resumed.settle(token_id, limit - cut) == state.settle(token_id, limit - cut) == token_id
        state.accept([token_id])
    assert second.begin(token_ids).is_complete


@pytest.mark.parametrize("make_tokenizer", TOKENIZERS)
def test_the_end_token_comes_only_where_the_json_is_complete_and_no_other_control_token_ever(
    make_tokenizer: Callable[[], Any],
) -> None:
    tokenizer = make_tokenizer()
    grammar = vocabulary_of(tokenizer).json_grammar('{"type":"integer","minimum":20,"maximum":300}')
    control = [token for token in tokenizer.all_special_ids if token != tokenizer.eos_token_id]
    may_end = {}
    for text in ("", "2", "25", "255"):
        token_ids = vocabulary_of(tokenizer).open().greedy_tokenize(text)
        mask = grammar.begin(token_ids).allowed()
        assert not mask[[*control, *range(len(tokenizer), PADDED)]].any()
        may_end[text] = bool(mask[tokenizer.eos_token_id])

    assert may_end == {"": False, "2": False, "25": True, "255": True}


def test_a_limit_too_small_for_any_answer_is_left_to_cut_it() -> None:
    state = vocabulary_of(byte_level()).json_grammar('{"type":"string","minLength":50}').begin(())
    (quote,) = np.flatnonzero(state.allowed()).tolist()

    assert state.settle(quote, 3) == quote


def test_tokens_of_another_grammar_are_refused() -> None:
    grammar = vocabulary_of(byte_level()).json_grammar('{"type":"integer"}')

    with pytest.raises(SchemaUnsupported):
        grammar.begin(byte_level().encode('{"a"', add_special_tokens=False))


def test_an_unknown_kind_of_tokenizer_is_said_to_be_one() -> None:
    with pytest.raises(SchemaUnsupported, match="tokenizer"):
        Vocabulary([], 10, frozenset()).json_grammar("{}")  # type: ignore[arg-type]  # on purpose


def test_logprobs_are_told_with_the_bytes_of_their_tokens() -> None:
    tokenizer = byte_level()
    letters = "".join(tokenizer.tokenize("가"))
    first, *_ = (tokenizer.convert_tokens_to_ids(letter) for letter in letters)
    space = tokenizer.convert_tokens_to_ids("Ġ")

    told = vocabulary_of(tokenizer).spelled(first, Logprobs(-0.5, ((first, -0.5), (space, -1.5))))

    assert told is not None
    assert (told.bytes, told.logprob, told.text) == ("가".encode()[:1], -0.5, "\ufffd")
    assert [(other.bytes, other.logprob) for other in told.top] == [("가".encode()[:1], -0.5), (b" ", -1.5)]
    control = vocabulary_of(tokenizer).spelled(
        tokenizer.pad_token_id, Logprobs(-1.0, ((tokenizer.pad_token_id, -1.0),))
    )
    assert control is not None
    assert (control.bytes, control.top[0].bytes) == (b"", b"<|pad|>")
    assert vocabulary_of(tokenizer).spelled(tokenizer.eos_token_id, Logprobs(0.0, ())) is None
