"""One fine-tuning from its recipe to its result, in stages; stopped anywhere, the same call goes on.

run_dir/recipe.json            what was asked for; another recipe is refused here
run_dir/held_out.json          losses before the first stage and after each: what was learned and what forgotten
run_dir/<n>-<stage>/           checkpoints/, log.json, metrics.json (written last: the stage is done)
run_dir/<n>-<stage>/result/    the adapter or model with its manifest (results.py)
run_dir/<n>-<stage>/difference/    LoftQ's adapter for the original base, if asked for
run_dir/curves.png, summary.json   the whole

Over several processes (processes.py) each one computes all that is measured, and the first one writes.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shared.errors import ConfigError
from training.tune import bases, curves, processes, results, rows, trainers, weights
from training.tune.bases import Base
from training.tune.measure import held_out_rows, logit_error, measure
from training.tune.recipe import SUMMARY, Extend, Loftq, Stage, TuneRecipe
from training.tune.vocabulary import fertility

_BEFORE = "before"
_COMPARED = 8  # rows whose logits are compared where LoftQ's difference is published


@dataclass(frozen=True)
class _Run:
    """What all stages share."""

    recipe: TuneRecipe
    data_dir: Path
    base: Base
    tokenizer: Any
    held_out: dict[str, list[dict[str, Any]]]


def run(
    recipe: TuneRecipe, data_dir: Path, *, minutes: float | None = None, steps: int | None = None
) -> dict[str, Any] | None:
    """Train what is not trained yet. `minutes`, `steps`: end this call then, with a checkpoint.

    Returns: the summary, or None if there is more to do. Raises ConfigError: something of the recipe is not there."""
    trainers.check_reporter(recipe)
    with processes.together(on_cpu=bases.device_of(recipe) == "cpu"):
        trainers.open_reporter(recipe)
        return _train_all(recipe, data_dir, trainers.StopAfter(minutes, steps))


def _train_all(recipe: TuneRecipe, data_dir: Path, stop: trainers.StopAfter) -> dict[str, Any] | None:
    with processes.first_one_first():
        _claim(recipe)
        base = bases.settle(recipe)
        results.write_base_manifest(recipe, base)
    tokenizer = weights.open_tokenizer(base.directory)
    shared = _Run(recipe, data_dir, base, tokenizer, held_out_rows(recipe, data_dir, tokenizer))
    after: Path | None = None
    for folder, stage in _folders(recipe).items():
        if not (folder / "metrics.json").is_file():
            _train(shared, stage, folder, after, stop)
            if stop.has_stopped:
                return None
        after = folder / "result"
    return _summarise(recipe, str(after))


def _claim(recipe: TuneRecipe) -> None:
    """Refuse a folder in which something else was begun."""
    file, asked = recipe.run_dir / "recipe.json", recipe.model_dump(mode="json")
    recipe.run_dir.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        _write(file, asked)
    begun = _read(file)
    changed = [key for key in asked if begun.get(key) != asked[key]]
    if changed:
        raise ConfigError(f"run_dir: {recipe.run_dir} was begun with another {', '.join(changed)}; use another run_dir")


def _train(shared: _Run, stage: Stage, folder: Path, after: Path | None, stop: trainers.StopAfter) -> None:
    recipe = shared.recipe
    split = rows.split(stage, shared.data_dir, recipe.seed)
    refused = rows.Refused()
    prepared = {
        name: rows.prepare(found, stage.objective, shared.tokenizer, stage.training.max_tokens, refused)
        for name, found in (("learned", split.learned), ("evaluated", split.evaluated))
    }
    if not prepared["learned"]:
        raise ConfigError(f"stages.{stage.name}.data: nothing to learn from; left out: {dict(refused.reasons)}")
    model = bases.open_model(recipe, shared.base, after)
    _note_held_out(shared, model, _BEFORE, stage.training.batch)
    trainer = trainers.build(recipe, stage, model, shared.tokenizer, prepared, folder / "checkpoints")
    trainer.add_callback(stop)
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=_checkpoint(folder / "checkpoints"))
    seconds = _spent(folder, time.monotonic() - begun)
    _write(folder / "log.json", trainer.state.log_history)
    if stop.has_stopped:
        return
    metrics = {
        **_numbers(trainer, evaluates=bool(prepared["evaluated"])),
        "seconds": seconds,
        "rows": {name: len(found) for name, found in prepared.items()},
        "refused_rows": dict(refused.reasons),
    }
    if isinstance(recipe.method, Extend):
        texts = split.evaluated or split.learned
        tokenizers = {"before": weights.open_tokenizer(recipe.base), "after": shared.tokenizer}
        metrics["fertility"] = {name: fertility(each, texts) for name, each in tokenizers.items()}
    trained = trainer.model
    if stage.objective == "dpo" and "ref" in getattr(trained, "peft_config", {}):
        trained.delete_adapter("ref")
    metrics["held_out"] = _note_held_out(shared, trained, folder.name, stage.training.batch)
    tensors = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # whole, also where each process has a part
    _publish(shared, stage, folder, trained, tensors, metrics, prepared["evaluated"] or prepared["learned"])


def _publish(
    shared: _Run,
    stage: Stage,
    folder: Path,
    model: Any,
    tensors: dict[str, torch.Tensor],
    metrics: dict[str, Any],
    compared: list[dict[str, Any]],
) -> None:
    """Write the result, LoftQ's difference if asked for, and last the metrics."""
    recipe, method = shared.recipe, shared.recipe.method
    until = recipe.stages[: recipe.stages.index(stage) + 1]
    data = {each.name: results.data_digests(each.data, shared.data_dir) for each in until}
    fresh = folder / "result.new"
    with processes.first_one_first():
        if processes.is_first():
            results.write_weights(model, tensors, shared.tokenizer, recipe, fresh)
    metrics["size_bytes"] = results.size_bytes(fresh)
    if isinstance(method, Loftq) and method.publish == "difference" and shared.base.start is not None:
        difference = folder / "difference.new"
        with processes.first_one_first():
            if processes.is_first():
                results.as_difference(fresh, shared.base.start, method, difference)
        original = bases.open_weights(recipe, recipe.base, "none")
        beside = weights.with_adapter(original, difference)
        error = {
            "logit_error": logit_error(model, beside, [row for row in compared if "input_ids" in row][:_COMPARED]),
            "held_out": measure(beside, shared.tokenizer, shared.held_out, stage.training.batch),
        }
        metrics["difference"] = error
        processes.wait()
        if processes.is_first():
            results.write_manifest(difference, recipe, bases.original(recipe), stage.name, data, metrics)
            results.settle_into(difference, folder / "difference")
    base = bases.original(recipe) if method.makes_model else shared.base
    processes.wait()
    if processes.is_first():
        results.write_manifest(fresh, recipe, base, stage.name, data, metrics)
        results.settle_into(fresh, folder / "result")
    _write(folder / "metrics.json", metrics)
    processes.wait()  # the next stage begins with the result


def _note_held_out(shared: _Run, model: Any, when: str, batch: int) -> dict[str, Any]:
    """Measure the held-out sets once for each moment, and keep the numbers."""
    file = shared.recipe.run_dir / "held_out.json"
    noted = _read(file) if file.is_file() else {}
    processes.wait()  # all have read it, so all measure or none
    if when not in noted and not (when == _BEFORE and noted):
        noted[when] = measure(model, shared.tokenizer, shared.held_out, batch)
        _write(file, noted)
    return dict(noted.get(when, {}))


def _numbers(trainer: Any, *, evaluates: bool) -> dict[str, Any]:
    log = trainer.state.log_history
    losses = [point["loss"] for point in log if "loss" in point]
    found: dict[str, Any] = {"steps": trainer.state.global_step, "train_loss": losses[-1] if losses else None}
    if evaluates:
        said = trainer.evaluate()
        found |= {key: value for key, value in said.items() if key in ("eval_loss", "eval_rewards/accuracies")}
    found["trained_parameters"] = sum(each.numel() for each in trainer.model.parameters() if each.requires_grad)
    if torch.cuda.is_available():
        found["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    else:
        found["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


def _summarise(recipe: TuneRecipe, result: str) -> dict[str, Any]:
    folders = _folders(recipe)
    if processes.is_first():
        logs = {stage.name: _read(folder / "log.json") for folder, stage in folders.items()}
        curves.draw(logs, recipe.run_dir / "curves.png")
    held_out = recipe.run_dir / "held_out.json"
    summary = {
        "name": recipe.name,
        "method": recipe.method.kind,
        "result": result,
        "stages": {stage.name: _read(folder / "metrics.json") for folder, stage in folders.items()},
        "held_out": _read(held_out) if held_out.is_file() else {},
    }
    _write(recipe.run_dir / SUMMARY, summary)
    return summary


def _folders(recipe: TuneRecipe) -> dict[Path, Stage]:
    return {recipe.run_dir / f"{number}-{stage.name}": stage for number, stage in enumerate(recipe.stages, 1)}


def _checkpoint(folder: Path) -> str | None:
    """The newest whole one: the trainer writes its state last, so what a killed process left half written has none."""
    whole = [file.parent for file in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda each: int(each.name.rpartition("-")[2]))) if whole else None


def _spent(folder: Path, seconds: float) -> float:
    """Of all calls that worked on this stage."""
    file = folder / "seconds.json"
    total = (_read(file) if file.is_file() else 0.0) + seconds
    _write(file, total)
    return round(total, 2)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write(file: Path, value: Mapping[str, Any] | list[Any] | float) -> None:
    """Whole or not at all, by the first process."""
    if processes.is_first():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(file.name + ".new")
        fresh.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        fresh.rename(file)
