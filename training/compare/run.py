"""One comparison from its recipe to its page: every model is opened, asked everything, and closed before the next.

out/compare.json    all numbers with their intervals, all answers, digests of models and data
out/compare.md      the table, for papers and terminals
out/compare.html    the same with sample answers side by side (page.py)
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from shared.chat import Message, Role
from shared.errors import ConfigError
from shared.model_digest import files_digest, served_digest
from training.compare import choices, page
from training.compare.answers import answers
from training.compare.choices import Question
from training.compare.embedders import Embedder, LetterEmbedder, ModelEmbedder, cosine
from training.compare.intervals import Measured, difference, interval, ratio_of
from training.compare.judges import Judge, ServerJudge, win_rate
from training.compare.overlap import bleu, rouge
from training.compare.recipe import Compared, CompareRecipe
from training.tune import rows
from training.tune.measure import costs
from training.tune.recipe import Data
from training.tune.results import ADAPTER_MANIFEST, commit, data_digests
from training.tune.weights import chosen_device, open_tokenizer, open_weights, with_adapter


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that is answered."""

    turns: tuple[Message, ...]  # up to the last question
    reference: str


@dataclass
class _Column:
    """What came of one model."""

    digest: str
    measured: dict[str, Measured] = field(default_factory=dict)  # "welfare: ROUGE-L" -> counts
    said: dict[str, list[str]] = field(default_factory=dict)  # set -> answers


def compare(recipe: CompareRecipe, data_dir: Path, judge: Judge | None = None) -> dict[str, Any]:
    """Measure everything and write the pages. `judge` stands for the recipe's, in tests.

    Raises ConfigError: a model, an adapter or a set is not what the recipe says."""
    asked = {name: _asked(rows.read(data, data_dir, recipe.seed)) for name, data in recipe.answered.items()}
    for name, found in asked.items():
        if not found:
            raise ConfigError(f"answered.{name}: no row ends with an answer to a question")
    questions: dict[str, list[Question]] = {
        name: choices.questions(name, data_dir, recipe.most_questions, recipe.seed) for name in recipe.choices
    }
    device = chosen_device(recipe.device)
    embedder: Embedder = ModelEmbedder(recipe.embedder, device) if recipe.embedder else LetterEmbedder()
    columns = {
        label: _column(recipe, compared, device, data_dir, asked, questions, embedder)
        for label, compared in recipe.models.items()
    }
    if judge is not None:
        _judge(recipe, judge, columns, asked)
    elif recipe.judge is not None:
        with contextlib.closing(ServerJudge(recipe.judge)) as server:
            _judge(recipe, server, columns, asked)
    result = _result(recipe, data_dir, columns, asked)
    page.write(result, recipe.out)
    return result


def _column(
    recipe: CompareRecipe,
    compared: Compared,
    device: str,
    data_dir: Path,
    asked: Mapping[str, Sequence[Asked]],
    questions: Mapping[str, Sequence[Question]],
    embedder: Embedder,
) -> _Column:
    model, column = _open(recipe, compared, device)
    tokenizer = open_tokenizer(compared.base)
    for name, data in recipe.held_out.items():
        column.measured |= _held_out(recipe, model, tokenizer, name, data, data_dir)
    for name, found in questions.items():
        column.measured[f"{name}: accuracy"] = choices.accuracy(
            model,
            tokenizer,
            found,
            instruction=compared.instruction,
            batch=recipe.batch,
            max_tokens=recipe.max_tokens,
        )
    for name, each in asked.items():
        turns = [one.turns for one in each]
        said = answers(
            model,
            tokenizer,
            turns,
            instruction=compared.instruction,
            batch=recipe.batch,
            max_new_tokens=recipe.max_new_tokens,
        )
        references = [one.reference for one in each]
        scores = rouge(said, references) | {"BLEU": bleu(said, references)}
        scores[f"cosine ({embedder.name})"] = cosine(said, references, embedder)
        column.measured |= {f"{name}: {metric}": measured for metric, measured in scores.items()}
        column.said[name] = said
    del model
    gc.collect()
    return column


def _open(recipe: CompareRecipe, compared: Compared, device: str) -> tuple[Any, _Column]:
    """The model with its adapter, in the numerics that the adapter was trained on."""
    if not (compared.base / "config.json").is_file():
        raise ConfigError(f"models: {compared.base} is no folder of a model in transformers' format")
    numerics, digest = "none", files_digest(compared.base)
    if compared.adapter is not None:
        file = compared.adapter / ADAPTER_MANIFEST
        if not file.is_file():
            raise ConfigError(f"models: {compared.adapter} has no {ADAPTER_MANIFEST}, so it names no base")
        manifest = json.loads(file.read_text(encoding="utf-8"))
        numerics = manifest["numerics"]
        if manifest["base_digest"] != served_digest(digest, numerics):
            raise ConfigError(f"models: {compared.adapter} was trained on another base than {compared.base}")
        digest = files_digest(compared.adapter, ("*.safetensors", "adapter_config.json"))
    model = open_weights(compared.base, numerics=numerics, dtype=recipe.dtype, device=device)
    if compared.adapter is not None:
        model = with_adapter(model, compared.adapter)
    return model.eval(), _Column(digest)


def _held_out(
    recipe: CompareRecipe, model: Any, tokenizer: Any, name: str, data: Data, data_dir: Path
) -> dict[str, Measured]:
    found = rows.prepare_to_measure(rows.read(data, data_dir, recipe.seed), tokenizer, recipe.max_tokens)
    if not found:
        raise ConfigError(f"held_out.{name}: no row can be measured")
    each = costs(model, tokenizer, found, recipe.batch)
    nats = [cost.nats for cost in each]
    return {
        f"{name}: loss": ratio_of(nats, [cost.tokens for cost in each], is_better_high=False),
        f"{name}: bits per byte": ratio_of(
            [nat / math.log(2) for nat in nats], [cost.size_bytes for cost in each], is_better_high=False
        ),
    }


def _judge(
    recipe: CompareRecipe, judge: Judge, columns: Mapping[str, _Column], asked: Mapping[str, Sequence[Asked]]
) -> None:
    """How often each model is preferred to the first one."""
    first, *others = columns
    votes = recipe.judge.votes if recipe.judge else 1
    for name, found in asked.items():
        said = [one.turns[-1].content for one in found]
        for label in others:
            won = win_rate(judge, said, columns[label].said[name], columns[first].said[name], votes)
            columns[label].measured[f"{name}: preferred by {judge.name}"] = won


def _result(
    recipe: CompareRecipe, data_dir: Path, columns: Mapping[str, _Column], asked: Mapping[str, Sequence[Asked]]
) -> dict[str, Any]:
    names = dict.fromkeys(name for column in columns.values() for name in column.measured)
    table = {name: {label: _cell(recipe, name, column, columns) for label, column in columns.items()} for name in names}
    samples = [
        {
            "set": name,
            "question": one.turns[-1].content,
            "reference": one.reference,
            "answers": {label: column.said[name][place] for label, column in columns.items()},
        }
        for name, found in asked.items()
        for place, one in enumerate(found)
    ]
    data = {name: data_digests(each, data_dir) for name, each in (recipe.held_out | recipe.answered).items()}
    return {
        "name": recipe.name,
        "commit": commit(),
        "recipe": recipe.model_dump(mode="json"),
        "models": {label: column.digest for label, column in columns.items()},
        "data": data,
        "torch": torch.__version__,
        "table": table,
        "answers": samples,
    }


def _cell(recipe: CompareRecipe, name: str, column: _Column, columns: Mapping[str, _Column]) -> dict[str, Any] | None:
    """The number with its interval, and whether it is `better`, `worse` or `unclear` beside the first model's."""
    measured, first = column.measured.get(name), next(iter(columns.values())).measured.get(name)
    if measured is None:
        return None
    cell = asdict(interval(measured, recipe.seed, recipe.resamples))
    if first is not None and first is not measured and len(first.counts) == len(measured.counts):
        apart = difference(measured, first, recipe.seed, recipe.resamples)
        is_unclear = apart.low <= 0 <= apart.high
        cell["than_first"] = (
            "unclear" if is_unclear else "better" if (apart.value > 0) == measured.is_better_high else "worse"
        )
    return cell


def _asked(found: Sequence[dict[str, Any]]) -> list[Asked]:
    """Rows that end with an answer to a question; others are left out."""
    conversations = [turns for row in found if (turns := rows.turns_of(row))]
    return [Asked(tuple(turns[:-1]), turns[-1].content) for turns in conversations if turns[-2].role == Role.USER]
