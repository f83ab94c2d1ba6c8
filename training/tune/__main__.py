"""Fine-tune a model by one recipe: full, LoRA, DoRA, QLoRA or LoftQ; causal, masked, answers only, or preferences.

Stopped anywhere, the same command goes on. With `sweep` in the recipe every combination is run and ends in one table.

How to run (or `nunmal train` with the same options):
    python -m training.tune --config training/recipes/tune/reference_lora.yaml
    python -m training.tune --config training/recipes/tune/reference_lora.yaml --show   # rows in two colours
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from shared.errors import ConfigError
from shared.settings import load_settings
from training.config import load_recipe
from training.tune.recipe import TuneRecipe

_SHOWN = 5


def main() -> int:
    """Returns: the exit code. 0 ended or stopped as asked, 2 the recipe is wrong."""
    asked = _parser().parse_args()
    data_dir = asked.data_dir or load_settings().data_dir
    try:
        recipe = load_recipe(asked.config, TuneRecipe)
        if asked.show:
            _show(recipe, data_dir)
        elif recipe.sweep:
            from training.tune.sweep import markdown, sweep

            print(markdown(sweep(recipe, data_dir, threads=asked.threads)))
        else:
            _run(recipe, data_dir, asked.minutes, asked.threads)
    except (ConfigError, ValidationError, OSError) as error:
        sys.stderr.write(f"training.tune: {error}\n")
        return 2
    return 0


def _run(recipe: TuneRecipe, data_dir: Path, minutes: float | None, threads: int) -> None:
    import torch  # seconds of imports, which --help and a wrong recipe need not wait for

    from training.tune.processes import is_first
    from training.tune.run import run

    torch.set_num_threads(threads)

    summary = run(recipe, data_dir, minutes=minutes)
    if not is_first():
        return
    if summary is None:
        print(f"stopped with a checkpoint in {recipe.run_dir}; the same command goes on")
        return
    for moment, sets in summary["held_out"].items():
        for name, numbers in sets.items():
            print(f"{moment:24} {name:16} loss {numbers['loss']:.4f}, {numbers['bits_per_byte']:.4f} bits a byte")
    print(f"{recipe.name} -> {summary['result']}")


def _show(recipe: TuneRecipe, data_dir: Path) -> None:
    """What is learned of the first rows, in colour: learned tokens in green, the rest in grey."""
    from training.conversations import Encoded, coloured
    from training.tune import rows
    from training.tune.weights import open_tokenizer

    tokenizer = open_tokenizer(recipe.base)
    for stage in recipe.stages:
        refused = rows.Refused()
        found = rows.split(stage, data_dir, recipe.seed).learned[:_SHOWN]
        print(f"== {stage.name} ({stage.objective})")
        for row in rows.prepare(found, stage.objective, tokenizer, stage.training.max_tokens, refused):
            if "input_ids" in row:
                labels = row.get("labels", row["input_ids"])
                print(coloured(Encoded(row["input_ids"], [int(each != rows.IGNORED) for each in labels]), tokenizer))
            else:
                print(row)
        for reason, count in refused.reasons.items():
            print(f"left out: {count} ({reason})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="training.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, metavar="RECIPE", help="YAML, see training/recipes/tune/")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where relative paths begin (NUNMAL_DATA_DIR)")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after so long, with a checkpoint")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU; 1, if not given")
    parser.add_argument("--show", action="store_true", help="print rows in two colours instead of training")
    return parser


if __name__ == "__main__":
    sys.exit(main())
