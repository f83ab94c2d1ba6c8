"""Every combination is a run of its own, and the table says what was set and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import ConfigError
from tests.tune_runs import stage
from training.tune.recipe import TuneRecipe
from training.tune.sweep import combinations, markdown


def recipe(sweep: dict[str, list[Any]]) -> TuneRecipe:
    plain = {"name": "grid", "base": "base", "run_dir": "runs", "method": {"kind": "lora"}}
    return TuneRecipe.model_validate(plain | {"stages": [stage("sft", "chats")], "sweep": sweep})


def test_every_combination_of_any_fields_is_a_run() -> None:
    runs = combinations(recipe({"method.r": [4, 8], "stages.sft.training.rate": [0.1, 0.2, 0.3], "seed": [1]}))

    assert len(runs) == 6
    chosen, last = runs[-1]
    assert chosen == {"method.r": 8, "stages.sft.training.rate": 0.3, "seed": 1}
    assert (last.method.r, last.stages[0].training.rate, last.seed) == (8, 0.3, 1)  # type: ignore[union-attr]
    assert last.run_dir == Path("runs/run-006")
    assert last.sweep == {}


def test_methods_are_swept_as_a_whole() -> None:
    runs = combinations(recipe({"method": [{"kind": "full"}, {"kind": "loftq", "bits": 2}]}))

    assert [each.method.kind for _, each in runs] == ["full", "loftq"]


@pytest.mark.parametrize("field", ["method.rank", "stages.1.training.rate", "stages.task.eval_share", "learning_rate"])
def test_a_field_that_is_not_there_is_named(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"no field '{field}'"):
        combinations(recipe({field: [1]}))


def test_a_value_that_does_not_fit_stops_the_sweep_before_its_first_run() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 256"):
        combinations(recipe({"method.r": [8, 4096]}))


def test_the_table_has_a_row_for_each_run_and_the_reason_of_one_that_failed() -> None:
    ended = {
        "set": {"method.r": 4},
        "failure": None,
        "held_out": {"talk": 3.14159},
        "eval_loss": 2.5,
        "train_loss": 2.25,
        "seconds": 61.04,
        "peak_memory_bytes": 512 << 20,
        "size_bytes": 10_240,
        "trained_parameters": 12_345,
    }
    nothing = dict.fromkeys(key for key in ended if key not in ("set", "held_out"))
    failed = {"set": {"method.r": 8}, "held_out": {}} | nothing | {"failure": "out of memory"}

    assert markdown([ended, failed]).splitlines() == [
        "| method.r | loss talk | eval loss | train loss | s | MiB | size KiB | trained weights | note |",
        "|---|---|---|---|---|---|---|---|---|",
        "| 4 | 3.1416 | 2.5000 | 2.2500 | 61.0 | 512 | 10 | 12,345 |  |",
        "| 8 |  |  |  |  |  |  |  | out of memory |",
    ]
