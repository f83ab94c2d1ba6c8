"""Weights of a training that goes on somewhere else: in bfloat16, with what was spent on them and without what its
optimizers remember. A run that begins with them warms up anew.

How to run: `python -m training.kept_weights RUN_DIR FILE.safetensors`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_model, save_file

from training.loop import Progress, load_checkpoint

_SPENT = "spent"


def keep(checkpoint: Path, file: Path) -> None:
    """Write a checkpoint's weights, those with two names once."""
    state = torch.load(checkpoint, weights_only=True)
    names: dict[int, str] = {}
    for name, values in state["model"].items():
        names.setdefault(values.data_ptr(), name)
    weights = {name: state["model"][name].bfloat16().contiguous() for name in names.values()}
    spent = {"tokens": state["progress"]["tokens"], "seconds": round(state["progress"]["seconds"])}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, file, {_SPENT: json.dumps(spent)})


def begin(source: Path, model: torch.nn.Module) -> Progress:
    """Put the weights of an earlier training, its folder or a file of `keep`, into a model. Returns what was spent on
    them; steps are counted anew. Mutates the model. Raises: RuntimeError: they are another model's."""
    if source.is_dir():
        before = load_checkpoint(source / "checkpoint.pt", model)
        return Progress(tokens=before.tokens, seconds=before.seconds)
    load_model(model, source)
    with safe_open(source, "pt") as file:
        return Progress(**json.loads(file.metadata()[_SPENT]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run_dir", type=Path)
    arguments.add_argument("file", type=Path)
    found = arguments.parse_args()
    keep(found.run_dir / "checkpoint.pt", found.file)
    print(f"{found.file.stat().st_size / 1e6:.1f} MB -> {found.file}")


if __name__ == "__main__":
    main()
