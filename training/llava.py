"""Give a language model eyes that others have trained: any SigLIP or CLIP encoder, any causal language model, and
pictures with conversations in LLaVA's JSON format, joined by settings alone (LLaVA-1.5, arXiv:2310.03744).

| stage | learns | from |
|---|---|---|
| describe | the projector alone | pictures and their descriptions |
| answer | the projector, and adapters (LoRA) on the language model | conversations about pictures, and without |

The encoder is frozen throughout. After `answer` the adapters are merged, and the model is published in transformers'
own format. The training is transformers' Trainer; the same command goes on from the last checkpoint. Not covered:
pictures in tiles, encoders of other kinds.

How to run:
    python -m training.llava training/recipes/siglip_qwen3.yaml --stage describe
    python -m training.llava training/recipes/siglip_qwen3.yaml --stage answer [--minutes 120]
    python -m training.llava training/recipes/siglip_qwen3.yaml --stage answer --show   # rows in two colours
On several GPUs of one machine: torchrun --nproc-per-node 8 -m training.llava ...
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training import loop
from training.config import LlavaRecipe, LlavaStage, load_recipe
from training.conversations import coloured
from training.export import MANIFEST, digest, sha256
from training.llava_parts import Parts, StageName, learner, load_parts
from training.llava_result import publish_model
from training.llava_rows import parse_row, read_rows
from training.picture_chats import PictureChatEncoder
from training.picture_dataset import PictureRows, Refused, collate, examine

PROJECTOR_FILE = "projector.safetensors"
QUARANTINE = "quarantine.jsonl"
# The curve's names and the Trainer's.
_TOLD = {
    "step": "step",
    "tokens": "num_input_tokens_seen",
    "loss": "loss",
    "grad_norm": "grad_norm",
    "lr": "learning_rate",
}


@dataclass(frozen=True)
class Examined:
    """What became of the rows of a stage. `sha256`: over the file and every picture that is shown."""

    key: str
    sha256: str
    rows: int
    places: list[tuple[int, int]]
    refused: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {"sha256": self.sha256, "rows": self.rows, "learned_from": len(self.places), "refused": self.refused}


class StopAfter(TrainerCallback):
    """Ends a piece of training with a checkpoint."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + minutes * 60

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        if time.monotonic() >= self._end:
            control.should_save = control.should_training_stop = True
        return control


def examined(
    folder: Path, raw: list[Any], stage: LlavaStage, encoder: PictureChatEncoder, key: str, *, needs_picture: bool
) -> Examined:
    """Look at every row once; the verdict is kept in `folder` under `key`, the refused rows beside it. Raises:
    ValueError: none is left."""
    path = folder / "examined.json"
    if path.exists():
        known = Examined(**json.loads(path.read_text(encoding="utf-8")))
        if known.key == key:
            return known
    folder.mkdir(parents=True, exist_ok=True)
    places: list[tuple[int, int]] = []
    refused: Counter[str] = Counter()
    with (folder / QUARANTINE).open("w", encoding="utf-8") as file:
        for verdict in examine(raw, stage.images, encoder, needs_picture=needs_picture):
            if isinstance(verdict, Refused):
                refused[verdict.reason] += 1
                file.write(json.dumps(asdict(verdict), ensure_ascii=False) + "\n")
            else:
                places += verdict
    if not places:
        raise ValueError(f"no row of {stage.data} can be learned from: {dict(refused)}; see {folder / QUARANTINE}")
    total = hashlib.sha256(sha256(stage.data).encode())
    for picture in sorted(
        {picture for number, _ in places for picture in parse_row(raw[number], stage.images).pictures}
    ):
        total.update(f"{picture.relative_to(stage.images)} {sha256(picture)}\n".encode())
    found = Examined(key, total.hexdigest(), len(raw), places, dict(refused))
    path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def training_arguments(recipe: LlavaRecipe, stage: LlavaStage, folder: Path) -> TrainingArguments:
    """The recipe in the Trainer's words. Raises: ValueError: several GPUs for one process."""
    has_gpu = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=stage.epochs,
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.accumulation,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=stage.warmup_share,
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.clip_norm,
        logging_steps=stage.log_steps,
        logging_nan_inf_filter=False,
        save_steps=stage.checkpoint_steps,
        save_total_limit=2,
        seed=recipe.seed,
        bf16=recipe.dtype == "bfloat16",
        use_cpu=not has_gpu,
        activation_checkpointing=recipe.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if recipe.gradient_checkpointing else None,
        dataloader_num_workers=recipe.loader_processes,
        dataloader_pin_memory=has_gpu,
        ddp_find_unused_parameters=True,  # rows without a picture do not ask the projector
        include_num_input_tokens_seen="non_padding",
        label_names=["labels"],
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )
    if arguments.n_gpu > 1:  # one process would cut a batch's pictures apart from its rows
        raise ValueError(f"{arguments.n_gpu} GPUs: start one process for each (torchrun), or show only one")
    return arguments


def last_checkpoint(folder: Path) -> Path | None:
    """The newest that is whole: its state is written last."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def train(
    recipe: LlavaRecipe, name: StageName, parts: Parts, rows: PictureRows, minutes: float | None = None
) -> tuple[Trainer, bool]:
    """Go on from the last checkpoint. Returns: the Trainer, and whether the stage is finished."""
    stage: LlavaStage = getattr(recipe, name)
    folder = recipe.run_dir / name
    config: Any = parts.model.config
    use_cache = vars(config).get("use_cache")
    tokenizer: Any = parts.tokenizer
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    trainer = Trainer(
        model=learner(parts.model, name, recipe.lora),
        args=training_arguments(recipe, stage, folder),
        train_dataset=rows,
        data_collator=functools.partial(collate, pad_id=pad),
        callbacks=[] if minutes is None else [StopAfter(minutes)],
    )
    checkpoint = last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    vars(config).pop("use_cache", None)  # the Trainer switched it off, and it would be published so
    if use_cache is not None:
        config.use_cache = use_cache
    if trainer.args.should_save:
        _draw(folder, trainer.state)
    return trainer, trainer.state.global_step >= trainer.state.max_steps


def _draw(folder: Path, state: TrainerState) -> None:
    """metrics.jsonl and loss.png, as every training here leaves them."""
    told = [
        {name: entry[key] for name, key in _TOLD.items() if key in entry}
        for entry in state.log_history
        if "loss" in entry
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")
    loop.plot(folder)


def run(recipe: LlavaRecipe, name: StageName, *, minutes: float | None = None, show: bool = False) -> bool:
    """One stage, or a piece of it. Returns: whether it is finished. Raises: ValueError: parts, rows or an earlier run
    that do not fit the recipe."""
    stage: LlavaStage = getattr(recipe, name)
    folder = recipe.run_dir / name
    before = recipe.run_dir / "describe" / PROJECTOR_FILE if name == "answer" else None
    if before is not None and not before.exists():
        raise ValueError(f"{before} is missing: the stage describe comes first")
    raw = read_rows(stage.data)
    parts = load_parts(recipe)
    if before is not None:
        parts.model.model.multi_modal_projector.load_state_dict(load_file(before))
    encoder = PictureChatEncoder(
        parts.tokenizer, recipe.image_token, parts.picture_tokens, parts.stops, stage.max_tokens
    )
    digests = {"encoder": digest(recipe.encoder), "language_model": digest(recipe.language_model)}
    key = json.dumps([sha256(stage.data), str(stage.images), stage.max_tokens, recipe.image_token, digests])
    with training_arguments(recipe, stage, folder).main_process_first():
        found = examined(folder, raw, stage, encoder, key, needs_picture=name == "describe")
    rows = PictureRows(raw, found.places, stage.images, encoder, parts.image_processor)
    print(f"{found.rows} rows: {len(found.places)} to learn from, refused {found.refused}", flush=True)
    if show:
        for index in range(min(4, len(rows))):
            print(coloured(rows.encoded(index), parts.tokenizer))
        return False
    begun = {"data": found.sha256, "parts": digests, "before": sha256(before) if before else None}
    settings = {"stage": stage.model_dump(mode="json"), "seed": recipe.seed, "dtype": recipe.dtype}
    if name == "answer":
        settings["lora"] = recipe.lora.model_dump(mode="json")
    _require_same_run(folder, begun | settings)

    trainer, is_finished = train(recipe, name, parts, rows, minutes)
    if not is_finished:
        print(f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; the same command goes on")
        return False
    learned: Any = trainer.model
    model = learned.merge_and_unload()
    if not trainer.args.should_save:  # another process does
        return True
    facts = begun | {"name": recipe.name, "stage": name, "data": found.facts()} | _facts(recipe, trainer)
    if name == "describe":
        _keep_projector(folder, model.model.multi_modal_projector, facts)
    else:
        facts["describe"] = json.loads((recipe.run_dir / "describe" / MANIFEST).read_text(encoding="utf-8"))
        pictured = next((index for index in range(len(rows)) if encoder.pictures_of(rows.encoded(index))), 0)
        publish_model(recipe, parts, model, collate([rows[pictured]], 0), facts)
    return True


def _facts(recipe: LlavaRecipe, trainer: Trainer) -> dict[str, Any]:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "recipe": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "steps": trainer.state.global_step,
        "tokens_seen": int(trainer.state.num_input_tokens_seen),
        "loss": {"first": losses[0], "last": losses[-1]} if losses else None,
        "trained_on": trainer.args.device.type,
    }


def _keep_projector(folder: Path, projector: torch.nn.Module, facts: dict[str, Any]) -> None:
    """What the next stage begins with, and where it came from."""
    weights = {name: each.detach().cpu().contiguous() for name, each in projector.state_dict().items()}
    save_file(weights, folder / PROJECTOR_FILE)
    told = facts | {"files": {PROJECTOR_FILE: sha256(folder / PROJECTOR_FILE)}}
    (folder / MANIFEST).write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _require_same_run(folder: Path, key: dict[str, Any]) -> None:
    """Checkpoints of other parts, data or settings are not gone on from."""
    path = folder / "run.json"
    if path.exists() and (known := json.loads(path.read_text(encoding="utf-8"))) != key:
        changed = ", ".join(name for name in key if known.get(name) != key[name])
        raise ValueError(f"{folder} was begun with other settings ({changed}): name another run_dir, or remove it")
    path.write_text(json.dumps(key), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--stage", required=True, choices=get_args(StageName))
    parser.add_argument("--minutes", type=float, default=None, help="stop with a checkpoint after this long")
    parser.add_argument("--threads", type=int, default=None, help="of a CPU")
    parser.add_argument("--show", action="store_true", help="print rows, what is learned in green, and end")
    found = parser.parse_args()
    if found.threads is not None:
        torch.set_num_threads(found.threads)
    try:
        run(load_recipe(found.recipe, LlavaRecipe), found.stage, minutes=found.minutes, show=found.show)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
