"""One trainer for each objective, all of them TRL's or transformers'; here is only what a recipe means to them.

    causal_lm, sft   trl.SFTTrainer on rows that are tokenised already (rows.py decides what is learned)
    dpo              trl.DPOTrainer; the reference is the model as the stage found it
    masked_lm        transformers.Trainer with its collator of masked tokens

Progress with the time that is left is the trainers' own bar.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module, util
from pathlib import Path
from typing import Any

import huggingface_hub
from datasets import Dataset
from transformers import DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from shared.errors import ConfigError
from training.tune import processes
from training.tune.bases import device_of, keep_trained_in_float32
from training.tune.recipe import Stage, Training, TuneRecipe

huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL tells its makers of each trainer otherwise


class StopAfter(TrainerCallback):
    """Ends a call after so many minutes or steps, with a checkpoint from which the same command goes on."""

    def __init__(self, minutes: float | None, steps: int | None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes
        self._steps = steps
        self.has_stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        if self._steps is not None:
            self._steps -= 1
        is_over = self._steps == 0
        if self._end is not None:
            is_over = processes.first_says(is_over or time.monotonic() > self._end)  # clocks differ
        if is_over and state.global_step < state.max_steps:
            self.has_stopped = True
            control.should_save = control.should_training_stop = True
        return control


def build(
    recipe: TuneRecipe, stage: Stage, model: Any, tokenizer: Any, rows: Mapping[str, list[dict[str, Any]]], folder: Path
) -> Any:
    """The trainer of a stage, with its checkpoints in `folder`. `rows`: `learned` and `evaluated`, prepared."""
    learned = Dataset.from_list(rows["learned"])
    evaluated = Dataset.from_list(rows["evaluated"]) if rows["evaluated"] else None
    options = _arguments(recipe, stage.training, folder, is_evaluated=evaluated is not None)
    given: dict[str, Any] = {"model": model, "train_dataset": learned, "eval_dataset": evaluated}
    given["processing_class"] = tokenizer
    most = stage.training.max_tokens
    trainer: Any
    if stage.objective == "masked_lm":
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=stage.training.masked_share)
        trainer = Trainer(args=TrainingArguments(**options), data_collator=collator, **given)
    elif stage.objective == "dpo":
        arguments: Any = DPOConfig(**options, beta=stage.training.beta, max_length=most)
        trainer = DPOTrainer(args=arguments, **given)
    else:
        trainer = SFTTrainer(args=SFTConfig(**options, max_length=most), **given)
    keep_trained_in_float32(trainer.model)
    return trainer


def _arguments(recipe: TuneRecipe, training: Training, folder: Path, *, is_evaluated: bool) -> dict[str, Any]:
    share = processes.share(training.batch, training.accumulation)
    return {
        "output_dir": str(folder),
        "run_name": f"{recipe.name}-{folder.parent.name}",
        "seed": recipe.seed % 2**32,
        "num_train_epochs": training.epochs,
        "max_steps": training.steps or -1,
        "per_device_train_batch_size": share.batch,
        "per_device_eval_batch_size": training.batch,
        "gradient_accumulation_steps": share.accumulation,
        "learning_rate": training.rate,
        "lr_scheduler_type": training.scheduler,
        "warmup_steps": training.warmup,
        "optim": training.optimizer,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.clip_norm,
        "bf16": training.precision == "bf16",
        "fp16": training.precision == "fp16",
        "gradient_checkpointing": training.checkpointing,
        "dataloader_num_workers": training.loader_workers,
        "dataloader_pin_memory": training.pinned_memory,
        "remove_unused_columns": training.remove_unused_columns,
        "ddp_find_unused_parameters": training.ddp_find_unused_parameters,
        "logging_steps": training.log_steps,
        "logging_first_step": True,
        "eval_strategy": "steps" if is_evaluated else "no",
        "eval_steps": training.eval_steps,
        "save_steps": training.save_steps,
        "save_total_limit": training.kept_checkpoints,
        "report_to": recipe.report_to,
        "use_cpu": device_of(recipe) == "cpu",
    }


def check_reporter(recipe: TuneRecipe) -> None:
    """Raises ConfigError: what `report_to` names is not installed."""
    name = recipe.report_to
    if name != "none" and util.find_spec(name) is None:
        raise ConfigError(f"report_to: {name} is not installed: pip install {name}")


def open_reporter(recipe: TuneRecipe) -> None:
    """Weights & Biases writes into the run's folder; what it wrote leaves this machine by `wandb sync` alone."""
    if recipe.report_to == "wandb" and processes.is_first():
        import_module("wandb").init(mode="offline", dir=str(recipe.run_dir), name=recipe.name)
