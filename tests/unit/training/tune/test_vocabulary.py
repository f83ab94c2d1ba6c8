"""A base with more words: fewer tokens, the same texts, and rows that begin as the mean of their pieces."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from shared.errors import ConfigError
from tests.tiny_models import VOCABULARY, tiny_model, tiny_tokenizer
from training.tune.terms import Term, find_terms
from training.tune.vocabulary import extend, fertility, texts_of, trained_rows

TERMS = ("기초생활보장", "주민센터")
TEXT = "가까운 주민센터에서 기초생활보장을 신청하고(주민센터), 주민이 와요."


@pytest.fixture
def tokenizer() -> Any:
    return copy.deepcopy(tiny_tokenizer())


@pytest.mark.parametrize("family", ["Llama", "GPTNeoX", "Gemma2"])  # the last reads and writes with the same weights
def test_new_rows_begin_as_the_mean_of_their_pieces(family: str, tokenizer: Any) -> None:
    model: Any = tiny_model(family)
    pieces = tokenizer.encode(" 주민센터", add_special_tokens=False)
    before = [model.get_input_embeddings().weight.clone(), model.get_output_embeddings().weight.clone()]

    ids = extend(model, tokenizer, TERMS)

    new = tokenizer.convert_tokens_to_ids(" 주민센터")
    assert len(ids) == 4 and new in ids
    for old, matrix in zip(before, (model.get_input_embeddings(), model.get_output_embeddings()), strict=True):
        assert torch.allclose(matrix.weight[new], old[pieces].mean(0), atol=1e-6)
        assert torch.equal(matrix.weight[:VOCABULARY], old[:VOCABULARY])
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] >= len(tokenizer)


def test_terms_are_one_token_with_and_without_a_space(tokenizer: Any) -> None:
    plain = copy.deepcopy(tokenizer)
    extend(tiny_model(), tokenizer, TERMS)

    ids = tokenizer.encode(TEXT, add_special_tokens=False)

    assert tokenizer.decode(ids) == TEXT
    written = tokenizer.convert_ids_to_tokens(ids)
    assert [token for token in written if token.strip() in TERMS] == [" 주민센터", " 기초생활보장", "주민센터"]
    assert fertility(tokenizer, [{"text": TEXT}]) < fertility(plain, [{"text": TEXT}])
    assert tokenizer.encode("주민이 와요") == plain.encode("주민이 와요")


def test_rows_that_are_trained_are_those_of_terms(tokenizer: Any) -> None:
    model = tiny_model()
    ids = extend(model, tokenizer, TERMS)

    assert trained_rows(model, tokenizer, TERMS) == {"model.embed_tokens": sorted(ids), "lm_head": sorted(ids)}


def test_a_tokenizer_that_would_spell_otherwise_is_refused(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(["가주민센터나", "가 주민센터나", "가주민센터 나"])
    monkeypatch.setattr("training.tune.vocabulary._spelled", lambda *_: next(said))

    with pytest.raises(ConfigError, match="spells '가주민센터나' as"):
        extend(tiny_model(), tokenizer, ["주민센터"])


def test_texts_are_those_of_turns_too() -> None:
    rows: list[dict[str, Any]] = [
        {"text": "하나"},
        {"messages": [{"role": "user", "content": "둘"}, "셋"]},
        {"id": "넷"},
    ]

    assert list(texts_of(rows)) == ["하나", "둘"]
    assert fertility(tiny_tokenizer(), []) == 0


def test_terms_are_frequent_nouns_that_cost_much(tokenizer: Any) -> None:
    pytest.importorskip("kiwipiepy")
    particles = ["를", "가", "는", "도", "로"]
    texts = [f"주민센터{end} 신청하면 감사합니다" for end in particles] * 2 + ["바우처는 여기서"]

    found = find_terms(texts, tokenizer, most=3)

    pieces = len(tokenizer.encode(" 주민센터", add_special_tokens=False))
    assert found == [Term("주민센터", 10, 10 * (pieces - 1))]
