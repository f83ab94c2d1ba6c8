"""Publish the aligned model: a LlavaForConditionalGeneration in bf16 with its processor, the parser's head beside it,
and a manifest that says where all came from. The folder appears whole or not at all.

How to run:
    python -m training.export_eyes training/recipes/reference_eyes.yaml [--stage reason|describe|answer] --out DIR
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from shared.model_digest import files_digest
from training import loop
from training.align import Speaker, build_speaker, seeing_tokenizer
from training.config import AlignRecipe, ParserRecipe, load_recipe
from training.conversations import CHAT_TEMPLATE
from training.export import MANIFEST, digest, files_of, publish, round_weights, sha256
from training.eyes_adapter import ordinary_tokens, save_adapter, take_adapter
from training.patches import load_parser
from vision.decoder import EYES_ADAPTER
from vision.llava import join, template_with_pictures
from vision.pixels import image_processor
from vision.reader import save_head
from vision.reasoning.tokens import IMAGE


def checkpoint(recipe: AlignRecipe, stage: str) -> Path:
    """Where a stage keeps what it has learned."""
    return recipe.run_dir / stage / "checkpoint.pt"


def chosen_stages(recipe: AlignRecipe, name: str | None) -> list[str]:
    """The stages that made the weights, the published one last: it is `name`, or the last that has a checkpoint.

    Raises: ValueError: there is no such stage, or no checkpoint."""
    trained = [stage.name for stage in recipe.stages if checkpoint(recipe, stage.name).exists()]
    chosen = recipe.stage(name).name if name else trained[-1] if trained else None
    if chosen not in trained:
        raise ValueError(f"no checkpoint of {name or 'any stage'} in {recipe.run_dir}")
    found: list[str] = []
    before: str | None = chosen
    while before is not None:
        found.append(before)
        before = recipe.stage(before).after
    return [each for each in reversed(found) if each in trained]


def manifest(
    folder: Path, recipe: AlignRecipe, parser: ParserRecipe, runs: dict[str, loop.Progress], parameters: int
) -> dict[str, Any]:
    """Everything a reader needs to know where the weights came from."""
    told = json.loads((recipe.language_model / MANIFEST).read_text(encoding="utf-8"))
    base = told.get("language_model", told)  # trained again: what it was before it saw

    def counted(key: str, now: dict[str, Any]) -> dict[str, Any]:
        return now if base is told else {**told[key], **now}

    return {
        "name": "nunmal-reference",
        "digest": digest(folder),
        "files": {p.relative_to(folder).as_posix(): sha256(p) for p in files_of(folder)},
        "recipes": {"align": recipe.model_dump(mode="json"), "parser": parser.model_dump(mode="json")},
        "trained_on": "cpu",
        "parameters": parameters,
        "seed": recipe.seed,
        "steps": counted("steps", {name: run.step for name, run in runs.items()}),
        "tokens_seen": counted("tokens_seen", {name: run.tokens for name, run in runs.items()}),
        "minutes": counted("minutes", {name: round(run.seconds / 60, 1) for name, run in runs.items()}),
        "language_model": base,
    }


def write(recipe: AlignRecipe, stages: Sequence[str], folder: Path) -> dict[str, Any]:
    """Put the model together as the last of its stages left it, and write it into a folder that does not exist yet.
    Returns its manifest."""
    parser_recipe = load_recipe(recipe.parser, ParserRecipe)
    parser = load_parser(parser_recipe)
    tokenizer = seeing_tokenizer(recipe)
    tokenizer.chat_template = template_with_pictures(CHAT_TEMPLATE, IMAGE)
    speaker: Speaker = build_speaker(recipe, tokenizer)
    runs = {stage: loop.load_checkpoint(checkpoint(recipe, stage), speaker) for stage in stages}
    runs["parser"] = loop.load_checkpoint(parser_recipe.run_dir / "checkpoint.pt", parser)
    images = image_processor(parser_recipe.encoder.image_size)
    model, processor = join(parser.encoder, speaker.language, tokenizer, images, IMAGE)
    model.model.multi_modal_projector.load_state_dict(speaker.projector.state_dict())
    adapter = take_adapter(model)
    model.generation_config = GenerationConfig.from_pretrained(recipe.language_model)
    round_weights(model, torch.bfloat16)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    images.save_pretrained(folder)  # preprocessor_config.json: what serving opens
    save_head(parser.head, folder)
    if recipe.lora is not None:
        ordinary = ordinary_tokens(recipe.language_model)
        save_adapter(adapter, recipe.lora, files_digest(folder), ordinary, folder / EYES_ADAPTER)
    parameters = sum(weights.numel() for part in (model, parser.head) for weights in part.parameters())
    parameters += sum(weights.numel() for weights in adapter.values())
    facts = manifest(folder, recipe, parser_recipe, runs, parameters)
    (folder / MANIFEST).write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return facts


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("recipe", type=Path)
    arguments.add_argument("--stage", help="whose last checkpoint is published; else the last that has one")
    arguments.add_argument("--out", type=Path, required=True)
    found = arguments.parse_args()
    recipe = load_recipe(found.recipe, AlignRecipe)
    try:
        stages = chosen_stages(recipe, found.stage)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    fresh = found.out.with_name(found.out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    publish(fresh, found.out, write(recipe, stages, fresh))


if __name__ == "__main__":
    main()
