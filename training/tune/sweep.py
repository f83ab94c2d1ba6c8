"""Every combination of some fields' values is a run; one table holds what came of each.

Runs are processes, one after another, so that each one's memory is its own. What has ended is not run again: a sweep
that was stopped goes on. `sweep.md` is for people, `sweep.json` has everything; what a run says, its bar too, stands in
output.txt of its folder.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from shared.errors import ConfigError
from training.tune.recipe import SUMMARY, TuneRecipe

_MEASURED = ("eval_loss", "train_loss", "seconds", "peak_memory_bytes", "size_bytes", "trained_parameters")


def combinations(recipe: TuneRecipe) -> list[tuple[dict[str, Any], TuneRecipe]]:
    """What is set, and the recipe with it, for every run. Raises pydantic.ValidationError: a value does not fit;
    ConfigError: there is no such field."""
    made = []
    for number, values in enumerate(itertools.product(*recipe.sweep.values()), 1):
        chosen = dict(zip(recipe.sweep, values, strict=True))
        plain = recipe.model_dump(mode="json") | {"sweep": {}}
        for field, value in chosen.items():
            _set(plain, field, value)
        plain["name"] = f"{recipe.name}-{number}"
        plain["run_dir"] = str(recipe.run_dir / f"run-{number:03d}")
        made.append((chosen, TuneRecipe.model_validate(plain)))
    return made


def sweep(recipe: TuneRecipe, data_dir: Path, *, threads: int) -> list[dict[str, Any]]:
    """Run what has not ended, and write the table. A run that fails has its reason there, and the others go on.

    Raises ConfigError: several processes were launched to do it."""
    if torch.distributed.is_torchelastic_launched():
        raise ConfigError("sweep: it starts its runs itself, one after another; launch a recipe without `sweep`")
    table = []
    runs = combinations(recipe)
    for number, (chosen, each) in enumerate(runs, 1):
        each.run_dir.mkdir(parents=True, exist_ok=True)
        file = each.run_dir / "asked.yaml"
        file.write_text(yaml.safe_dump(each.model_dump(mode="json"), allow_unicode=True), encoding="utf-8")
        failure = None
        if not (each.run_dir / SUMMARY).is_file():
            print(f"run {number} of {len(runs)}: {json.dumps(chosen, ensure_ascii=False)}", flush=True)
            failure = _run(file, data_dir, threads)
        table.append(_row(chosen, each, failure))
        (recipe.run_dir / "sweep.json").write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", "utf-8")
        (recipe.run_dir / "sweep.md").write_text(markdown(table), encoding="utf-8")
    return table


def markdown(table: Sequence[dict[str, Any]]) -> str:
    """Rows under the names of what was set and what was measured."""
    fields = list(dict.fromkeys(field for row in table for field in row["set"]))
    held_out = list(dict.fromkeys(name for row in table for name in row["held_out"]))
    heads = [*fields, *(f"loss {name}" for name in held_out), "eval loss", "train loss", "s", "MiB", "size KiB"]
    heads += ["trained weights", "note"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in table:
        cells = [json.dumps(row["set"][field], ensure_ascii=False).replace("|", "\\|") for field in fields]
        cells += [_number(row["held_out"].get(name), 4) for name in held_out]
        cells += [_number(row[key], 4) for key in ("eval_loss", "train_loss")]
        cells += [_number(row["seconds"], 1), _number(row["peak_memory_bytes"], 0, 1 << 20)]
        cells += [_number(row["size_bytes"], 0, 1 << 10), _number(row["trained_parameters"], 0)]
        lines.append("| " + " | ".join([*cells, str(row["failure"] or "")]) + " |")
    return "\n".join(lines) + "\n"


def _run(file: Path, data_dir: Path, threads: int) -> str | None:
    """Returns: what went wrong."""
    words = ["-m", "training.tune", "--config", str(file), "--data-dir", str(data_dir), "--threads", str(threads)]
    said = file.with_name("output.txt")
    with said.open("w", encoding="utf-8") as output:
        ended = subprocess.run([sys.executable, *words], stdout=output, stderr=output)  # noqa: S603
    if ended.returncode == 0:
        return None
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " ".join(lines[-1].split())[:200].replace("|", "/") if lines else f"exit code {ended.returncode}"


def _row(chosen: dict[str, Any], recipe: TuneRecipe, failure: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"set": chosen, "failure": failure, "held_out": {}, **dict.fromkeys(_MEASURED)}
    file = recipe.run_dir / SUMMARY
    if failure is None and file.is_file():
        summary = json.loads(file.read_text(encoding="utf-8"))
        last = list(summary["stages"].values())[-1]
        row |= {key: last.get(key) for key in _MEASURED}
        row["seconds"] = sum(stage["seconds"] for stage in summary["stages"].values())
        row["held_out"] = {name: found["loss"] for name, found in last["held_out"].items()}
        row["result"] = summary["result"]
    return row


def _set(plain: dict[str, Any], field: str, value: Any) -> None:
    """Write to a dotted place like `stages.0.training.rate`; a stage goes by its number or its name."""
    place: Any = plain
    *path, last = field.split(".")
    for step in path:
        place = place[_step(place, step, field)]
    place[_step(place, last, field)] = value


def _step(place: Any, step: str, field: str) -> Any:
    if isinstance(place, dict):
        if step in place:
            return step
    elif isinstance(place, list):
        for number, each in enumerate(place):
            if step == str(number) or (isinstance(each, dict) and step == each.get("name")):
                return number
    raise ConfigError(f"sweep: there is no field {field!r} ({step!r} is not there)")


def _number(value: Any, digits: int, unit: float = 1) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"
