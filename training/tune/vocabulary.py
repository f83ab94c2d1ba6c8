"""More words for a base: terms of a domain become tokens of their own, so that texts about it take fewer of them.

A term gets a token for itself and one for itself behind a space, because Korean glues particles to its end and not to
its beginning. What a new token means begins as the mean of the pieces that wrote it before. The rest of the tokenizer
stays as it is, so texts without terms keep their tokens. Not here: finding terms (terms.py), and training the new rows
(bases.py gives them to PEFT as `trainable_token_indices`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import AddedToken

from shared.errors import ConfigError


def extend(model: Any, tokenizer: Any, terms: Sequence[str]) -> list[int]:
    """Give both the terms that are no token yet. Changes model and tokenizer. Returns: the new ids.

    Raises ConfigError: the tokenizer would spell texts otherwise than before."""
    pieces = {
        spelled: tokenizer.encode(spelled, add_special_tokens=False)
        for term in terms
        for spelled in (term, f" {term}")
        if len(tokenizer.encode(spelled, add_special_tokens=False)) > 1
    }
    around = [f"가{spelled}나" for spelled in pieces]
    before = [_spelled(tokenizer, text) for text in around]
    tokenizer.add_tokens([AddedToken(spelled, normalized=False) for spelled in pieces])
    for text, said in zip(around, before, strict=True):
        if _spelled(tokenizer, text) != said:
            raise ConfigError(f"method.terms: with new tokens this tokenizer spells {said!r} as {text!r}")
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = [int(tokenizer.convert_tokens_to_ids(spelled)) for spelled in pieces]
    with torch.no_grad():
        for _, matrix in _matrices(model):
            for new, old in zip(ids, pieces.values(), strict=True):
                matrix[new] = matrix[old].mean(0)
    return ids


def trained_rows(model: Any, tokenizer: Any, terms: Sequence[str]) -> dict[str, list[int]]:
    """Module -> the rows that belong to terms, in PEFT's words; what comes out too, where it has weights of its own."""
    added = tokenizer.get_added_vocab()
    ids = sorted(added[spelled] for term in terms for spelled in (term, f" {term}") if spelled in added)
    return {name: ids for name, _ in _matrices(model)}


def fertility(tokenizer: Any, rows: Iterable[dict[str, Any]]) -> float:
    """Tokens a word (what stands between spaces) of all texts in rows; 0 if there are none."""
    tokens = words = 0
    for text in texts_of(rows):
        tokens += len(tokenizer.encode(text, add_special_tokens=False))
        words += len(text.split())
    return tokens / words if words else 0.0


def texts_of(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """All texts that rows hold: `text`, and what every turn of `messages` says."""
    for row in rows:
        turns = [turn.get("content") for turn in row.get("messages") or () if isinstance(turn, dict)]
        yield from (text for text in (row.get("text"), *turns) if isinstance(text, str))


def _spelled(tokenizer: Any, text: str) -> str:
    return str(tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)))


def _matrices(model: Any) -> list[tuple[str, torch.Tensor]]:
    """Names and weights (tokens, width) of what reads tokens, and of what writes them if that is another."""
    reading, writing = model.get_input_embeddings(), model.get_output_embeddings()
    modules = [reading] if writing is None or writing.weight is reading.weight else [reading, writing]
    names = {id(module): name for name, module in model.named_modules()}
    return [(names[id(module)], module.weight) for module in modules]
