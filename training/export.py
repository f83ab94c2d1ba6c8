"""Publish the trained model: bf16 safetensors, tokenizer, generation settings, and a manifest that says
where it came from. The folder appears whole or not at all.

It chooses nothing: it takes the last checkpoint of the recipe's run.

How to run:
    python -m training.export training/recipes/reference_sft.yaml
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from training import loop
from training.arguments import parse
from training.config import PretrainRecipe, SftRecipe, load_recipe
from training.conversations import BOS, END, PAD, token_id
from training.data.templates import TEMPLATE_DIR

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(folder: Path) -> str:
    """One digest over names and contents of a model folder, its manifest left out."""
    total = hashlib.sha256()
    for path in files_of(folder):
        total.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return total.hexdigest()


def files_of(folder: Path) -> list[Path]:
    """All of a model folder, sorted, its manifest left out."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def round_weights(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Bring the parameters to the precision they are published in. Buffers stay: frequencies of positions are exact
    wherever a model is loaded. Mutates `model`."""
    for weights in model.parameters():
        weights.data = weights.data.to(dtype)


def data_digest(base: PretrainRecipe) -> str:
    """Over the pretraining ids and every template file: what the weights were made of."""
    total = hashlib.sha256((base.run_dir / "corpus.json").read_bytes())
    for path in sorted(TEMPLATE_DIR.glob("*.yaml")):
        total.update(path.read_bytes())
    return total.hexdigest()


def epochs(recipe: SftRecipe) -> list[dict[str, Any]]:
    """Rows and digest of each epoch of fine-tuning, in the order they were begun; a restart begins one again."""
    lines = (recipe.run_dir / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def manifest(
    folder: Path,
    recipe: SftRecipe,
    base: PretrainRecipe,
    runs: dict[str, loop.Progress],
    parameters: int,
) -> dict[str, Any]:
    """Everything a reader needs to know where the weights came from."""
    return {
        "name": "nunmal-reference",
        "digest": digest(folder),
        "files": {p.name: sha256(p) for p in files_of(folder)},
        "recipes": {
            "pretrain": base.model_dump(mode="json"),
            "sft": recipe.model_dump(mode="json"),
        },
        "parameters": parameters,
        "seed": recipe.seed,
        "tokens_seen": {name: run.tokens for name, run in runs.items()},
        "steps": {name: run.step for name, run in runs.items()},
        "minutes": {name: round(run.seconds / 60, 1) for name, run in runs.items()},
        "data_sha256": data_digest(base),
        "epochs": epochs(recipe),
    }


def publish(fresh: Path, folder: Path, facts: dict[str, Any]) -> None:
    """Put a whole new model folder in the place of the old one, and say its digest and size."""
    for path in files_of(fresh):
        path.chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    size = sum(p.stat().st_size for p in files_of(folder))
    print(f"{facts['digest']} {size / 1e6:.1f} MB -> {folder}")


def main() -> None:
    arguments = parse(__doc__)
    recipe = load_recipe(arguments.recipe, SftRecipe)
    base = load_recipe(recipe.base_recipe, PretrainRecipe)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(recipe.tokenizer_dir)
    pad, bos, eos = (token_id(tokenizer, t) for t in (PAD, BOS, END))
    model = loop.build_model(base.model, pad, bos, eos)
    runs = {"pretrain": loop.load_checkpoint(base.run_dir / "checkpoint.pt", model)}
    runs["sft"] = loop.load_checkpoint(recipe.run_dir / "checkpoint.pt", model)

    folder = recipe.publish_dir.with_name(recipe.publish_dir.name + ".new")
    shutil.rmtree(folder, ignore_errors=True)
    round_weights(model, torch.bfloat16)
    sampling = recipe.sampling
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_new_tokens=sampling.max_new_tokens,
        pad_token_id=pad,
        bos_token_id=bos,
        eos_token_id=eos,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parameters = sum(p.numel() for p in model.parameters())
    facts = manifest(folder, recipe, base, runs, parameters)
    (folder / MANIFEST).write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")

    publish(folder, recipe.publish_dir, facts)


if __name__ == "__main__":
    main()
