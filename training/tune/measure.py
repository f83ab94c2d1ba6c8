"""How well a model predicts rows it does not learn from: loss a token and bits a byte, for every row set of a recipe.

Bits per byte compare across tokenizers; both count learned tokens only (all of a text, the answers of a conversation).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from training.tune import rows
from training.tune.recipe import TuneRecipe


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Of one set of rows."""

    loss: float  # nats a token
    bits_per_byte: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the learned tokens of one row cost a model."""

    nats: float
    tokens: int
    size_bytes: int  # of their text


def held_out_rows(recipe: TuneRecipe, data_dir: Path, tokenizer: Any) -> dict[str, list[dict[str, Any]]]:
    """The recipe's held-out sets, tokenised."""
    longest = min(stage.training.max_tokens for stage in recipe.stages)
    return {
        name: rows.prepare_to_measure(rows.read(data, data_dir, recipe.seed), tokenizer, longest)
        for name, data in recipe.held_out.items()
    }


def measure(model: Any, tokenizer: Any, sets: dict[str, list[dict[str, Any]]], batch: int) -> dict[str, dict[str, Any]]:
    """Name -> its numbers, as JSON holds them."""
    return {name: asdict(_measured(model, tokenizer, found, batch)) for name, found in sets.items() if found}


@torch.no_grad()
def logit_error(model: Any, other: Any, found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How far the logits of two models are apart over some rows: mean and largest absolute difference."""
    apart = []
    for each in (model, other):
        each.eval()
    for row in found:
        ids = torch.tensor([row["input_ids"]])
        logits = [each(input_ids=ids.to(each.device)).logits.float().cpu() for each in (model, other)]
        apart.append((logits[0] - logits[1]).abs().flatten())
    if not apart:
        return {}
    together = torch.cat(apart)
    return {"mean": float(together.mean()), "largest": float(together.max())}


@torch.no_grad()
def costs(model: Any, tokenizer: Any, found: Sequence[dict[str, Any]], batch: int) -> list[Cost]:
    """Of every row (`input_ids`, `labels`), in their order."""
    was_training = model.training
    model.eval()
    made: dict[int, Cost] = {}
    for places, ids, labels in _batches(found, batch, tokenizer.pad_token_id):
        logits = model(
            input_ids=ids.to(model.device), attention_mask=(labels != _PADDING).long().to(model.device)
        ).logits
        wanted = labels[:, 1:].clamp_min(rows.IGNORED).to(logits.device)
        nats = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2).float(), wanted, ignore_index=rows.IGNORED, reduction="none"
        ).sum(1)
        for place, cost in zip(places, nats.tolist(), strict=True):
            learned = [token for token in found[place]["labels"][1:] if token != rows.IGNORED]
            text = tokenizer.decode(learned, skip_special_tokens=True)
            made[place] = Cost(cost, len(learned), len(text.encode()))
    model.train(was_training)
    return [made[place] for place in range(len(found))]


def _measured(model: Any, tokenizer: Any, found: Sequence[dict[str, Any]], batch: int) -> HeldOut:
    each = costs(model, tokenizer, found, batch)
    nats, tokens = sum(cost.nats for cost in each), sum(cost.tokens for cost in each)
    length = sum(cost.size_bytes for cost in each)
    return HeldOut(nats / max(1, tokens), nats / math.log(2) / max(1, length), tokens)


_PADDING = rows.IGNORED - 1  # told apart from tokens that are only not learned


def _batches(
    found: Sequence[dict[str, Any]], size: int, pad_id: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Places, and ids and labels (B, T) int64 of rows of like length, padded on the right."""
    ordered = sorted(range(len(found)), key=lambda place: len(found[place]["input_ids"]))
    for begin in range(0, len(ordered), size):
        places = ordered[begin : begin + size]
        taken = [found[place] for place in places]
        shape = (len(taken), max(len(row["input_ids"]) for row in taken))
        ids, labels = torch.full(shape, pad_id), torch.full(shape, _PADDING)
        for number, row in enumerate(taken):
            count = len(row["input_ids"])
            ids[number, :count] = torch.tensor(row["input_ids"])
            labels[number, :count] = torch.tensor(row["labels"])
        yield places, ids, labels
