"""The base of a run, opened in the numerics of its method, and wrapped so that the right weights learn.

    full    every weight, float32
    lora    the base as it is (dtype of the recipe), an adapter beside it in float32
    dora    the same with magnitudes
    qlora   the base in nf4 or int8 as workers keep it, an adapter beside it
    loftq   a base moved onto the grid of its bits, and an adapter that begins with what was lost (loftq.py)
    extend  a base with more tokens, their rows and an adapter in float32 (vocabulary.py)

Not here: what they learn from (rows.py), and how they are written for workers (results.py).
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from shared.errors import ConfigError
from shared.model_digest import files_digest, served_digest
from training.tune import loftq, weights
from training.tune.recipe import Extend, Full, Loftq, Qlora, TuneRecipe
from training.tune.vocabulary import extend, trained_rows
from vision.decoder import decoder_linears, has_eyes

ADAPTER = "default"  # PEFT's name of the only one
_START, _MOVED = "start.safetensors", "base"


@dataclass(frozen=True, slots=True)
class Base:
    """Which weights are trained on."""

    directory: Path  # what is opened: the recipe's base, or the one that LoftQ or more tokens made of it
    digest: str  # as workers name it when they serve it in these numerics
    numerics: str  # "none", "nf4", "int8"
    is_moved: bool  # LoftQ made a base of its own, which has to be published with the adapter
    start: Path | None  # LoftQ's first adapter


def settle(recipe: TuneRecipe) -> Base:
    """Find the base, or make LoftQ's once (in run_dir/loftq). Raises ConfigError: no such folder."""
    if not (recipe.base / "config.json").is_file():
        raise ConfigError(f"base: {recipe.base} is no folder of a model in transformers' format")
    method = recipe.method
    if isinstance(method, Qlora):
        return _base(recipe.base, method.quantisation)
    if isinstance(method, Extend):
        return _settle_extended(recipe, method)
    return _settle_loftq(recipe, method) if isinstance(method, Loftq) else original(recipe)


def original(recipe: TuneRecipe) -> Base:
    """The recipe's base, neither moved nor quantised."""
    return _base(recipe.base, "none")


def open_model(recipe: TuneRecipe, base: Base, after: Path | None) -> Any:
    """The model that learns, on its device, with what `after` (the result of the stage before) learned.

    Raises ConfigError: `target_modules` names no linear layer."""
    method = recipe.method
    if isinstance(method, Full):
        return open_weights(recipe, after or base.directory, "none")
    begun = after if method.makes_model else None  # what was learned is in its weights
    model = open_weights(recipe, begun or base.directory, base.numerics)
    _check_targets(model, method.target_modules)
    torch.manual_seed(recipe.seed)  # A is drawn
    config = adapter_config(recipe, model)
    if isinstance(method, Extend):
        config.trainable_token_indices = trained_rows(model, weights.open_tokenizer(base.directory), method.terms)
    model = peft.get_peft_model(model, config)
    if isinstance(method, Extend):
        _show_bias(model.get_output_embeddings())
    learned = base.start if after is None else after / "adapter_model.safetensors"
    if learned is not None and not method.makes_model:
        _load(model, load_file(learned))
    keep_trained_in_float32(model)
    return model


def adapter_config(recipe: TuneRecipe, model: Any) -> Any:
    """The recipe's method in PEFT's words. A model with eyes has layers of the same short names in them, so those that
    learn are told in full."""
    method = recipe.method
    assert not isinstance(method, Full)
    targets = list(linears(model, method.target_modules)) if has_eyes(model.config) else list(method.target_modules)
    return peft.LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,  # type: ignore[arg-type]  # computed with as any number
        use_rslora=method.use_rslora,
        lora_dropout=method.dropout,
        target_modules=targets,
        bias=method.bias,
        use_dora=method.kind == "dora" or (isinstance(method, Qlora) and method.use_dora),
        task_type=None if recipe.is_masked else peft.TaskType.CAUSAL_LM,
    )


def keep_trained_in_float32(model: Any) -> None:
    """Small steps vanish in fewer bits; TRL would keep adapters of quantised bases in bfloat16."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def open_weights(recipe: TuneRecipe, directory: Path, numerics: str) -> Any:
    """A model without adapters, on the recipe's device."""
    return weights.open_weights(
        directory, numerics=numerics, dtype=recipe.dtype, device=device_of(recipe), is_encoder=recipe.is_masked
    )


def device_of(recipe: TuneRecipe) -> str:
    """cpu or cuda."""
    return weights.chosen_device(recipe.device)


def _base(directory: Path, numerics: str, *, is_moved: bool = False, start: Path | None = None) -> Base:
    digest = served_digest(files_digest(directory), numerics)
    return Base(directory, digest, numerics, is_moved, start)


def _settle_loftq(recipe: TuneRecipe, method: Loftq) -> Base:
    folder = recipe.run_dir / "loftq"
    is_moved = not (method.bits == 4 and method.iterations == 1)  # else it is what nf4 makes of the original
    _make_once(recipe, folder, lambda: _make_loftq(recipe, method, folder, is_moved))
    directory = folder / _MOVED if is_moved else recipe.base
    return _base(directory, "nf4" if method.bits == 4 else "none", is_moved=is_moved, start=folder / _START)


def _settle_extended(recipe: TuneRecipe, method: Extend) -> Base:
    folder = recipe.run_dir / "extended"

    def make() -> None:
        model = open_weights(recipe, recipe.base, "none")
        tokenizer = _as_it_is(recipe.base)
        extend(model, tokenizer, method.terms)
        weights.save_model(model, tokenizer, recipe.base, folder)

    _make_once(recipe, folder, make)
    return _base(folder, "none")


def _make_once(recipe: TuneRecipe, folder: Path, make: Callable[[], None]) -> None:
    """Fill a folder, unless it was. Raises ConfigError: it was filled from something else."""
    asked = {"base": files_digest(recipe.base), "method": recipe.method.model_dump(mode="json")}
    note = folder / "made.json"
    if not note.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        make()
        note.write_text(json.dumps(asked))
    elif json.loads(note.read_text()) != asked:
        raise ConfigError(f"run_dir: {folder} was made of another base or with other options; use another run_dir")


def _make_loftq(recipe: TuneRecipe, method: Loftq, folder: Path, is_moved: bool) -> None:
    plain = recipe.model_copy(update={"dtype": "float32"})
    model = open_weights(plain, recipe.base, "none")
    _check_targets(model, method.target_modules)
    targeted = linears(model, method.target_modules)
    first = loftq.move(
        targeted.items(),
        bits=method.bits,
        rank=method.r,
        iterations=method.iterations,
        scaling=method.scaling,
    )
    tensors = {f"base_model.model.{name}.lora_A.weight": a for name, (a, _) in first.items()}
    tensors |= {f"base_model.model.{name}.lora_B.weight": b for name, (_, b) in first.items()}
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, folder / _START)
    if is_moved:
        weights.save_model(model, _as_it_is(recipe.base), recipe.base, folder / _MOVED)
    del model
    gc.collect()


def linears(model: Any, targets: tuple[str, ...]) -> dict[str, Any]:
    """The linear layers that are named so, or whose name ends in ".<one of these>", as PEFT and workers match them; of
    a model with eyes, its decoder's."""
    found = decoder_linears(model) if has_eyes(model.config) else dict(model.named_modules())
    return {
        name: module
        for name, module in found.items()
        if isinstance(module, torch.nn.Linear) and any(f".{name}".endswith(f".{target}") for target in targets)
    }


def _check_targets(model: Any, targets: tuple[str, ...]) -> None:
    for target in targets:
        if not linears(model, (target,)):
            layers = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
            ends = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            raise ConfigError(
                f"method.target_modules: {target!r} is no linear layer of {type(model).__name__}; it has {ends}"
            )


def _as_it_is(base: Path) -> Any:
    """Its tokenizer, without anything that training adds."""
    return AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)


def _show_bias(writing: Any) -> None:
    """TRL 1.16 takes `weight` and `bias` of what writes tokens; PEFT 0.21 wraps it with the first alone."""
    if not hasattr(writing, "bias"):
        vars(writing)["bias"] = writing.token_adapter.base_layer.bias


def _load(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    found: Any = peft.set_peft_model_state_dict(model, tensors, adapter_name=ADAPTER)
    unexpected = list(found.unexpected_keys)
    if unexpected:
        raise ConfigError(f"run_dir: {len(unexpected)} tensors of the adapter fit no layer, first {unexpected[0]}")
