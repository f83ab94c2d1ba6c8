"""What one fine-tuning is: a base, a method, and stages one after another, as frozen typed values of one YAML file.

Not the settings of the house, and not `training.config`, whose recipes make models from nothing. Unknown keys are
refused. Rates are per optimiser step, lengths are tokens, shares lie between 0 and 1.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from training.config import Recipe

Objective = Literal["causal_lm", "masked_lm", "sft", "dpo"]
SUMMARY = "summary.json"  # in run_dir, written when the last stage has ended
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


class Full(Recipe):
    """All weights are trained; the result is a model."""

    makes_model: ClassVar[bool] = True
    kind: Literal["full"]


class _LowRank(Recipe):
    """What LoRA and its relatives share; the result is an adapter."""

    makes_model: ClassVar[bool] = False
    r: int = Field(default=16, ge=1, le=256, description="Rank of the difference; workers take at most 256.")
    alpha: float = Field(default=32.0, gt=0, description="The difference is scaled by alpha / r.")
    use_rslora: bool = Field(default=False, description="Scale by alpha / sqrt(r) instead (arXiv:2312.03732).")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of the inputs of A that are zeroed in training.")
    target_modules: tuple[str, ...] = Field(
        default=_ATTENTION, min_length=1, description="Linear layers by name or by the end of it; no patterns."
    )
    bias: Literal["none", "lora_only", "all"] = Field(
        default="none", description="Which biases are trained too; workers serve `none` only."
    )

    @property
    def scaling(self) -> float:
        """What B A is multiplied with."""
        return self.alpha / (self.r**0.5 if self.use_rslora else self.r)


class Lora(_LowRank):
    """arXiv:2106.09685, on weights as they are."""

    kind: Literal["lora"]


class Dora(_LowRank):
    """arXiv:2402.09353: direction and length of each row apart."""

    kind: Literal["dora"]


class Qlora(_LowRank):
    """arXiv:2305.14314: LoRA on weights that bitsandbytes keeps in few bits, as workers serve them."""

    kind: Literal["qlora"]
    quantisation: Literal["nf4", "int8"] = Field(default="nf4", description="NUNMAL_WORKER__DTYPE of who serves it.")
    use_dora: bool = Field(default=False, description="QDoRA: DoRA on the quantised weights.")


class Loftq(_LowRank):
    """arXiv:2310.08659: quantised weights and the first adapter are chosen together, to add up to the base."""

    kind: Literal["loftq"]
    bits: Literal[2, 4, 8] = Field(default=4, description="Bits of a targeted weight, without the scales of blocks.")
    iterations: int = Field(default=1, ge=1, le=10, description="How often quantising and decomposing take turns.")
    publish: Literal["base", "difference"] = Field(
        default="base",
        description="`base`: the adapter belongs to the quantised base, which is published too where it is not what"
        " nf4 makes of the original. `difference`: from the first adapter, with rank 2r, for the original base.",
    )

    @model_validator(mode="after")
    def _fits_a_worker(self) -> Loftq:
        if self.publish == "difference" and self.r > 128:
            raise ValueError(f"r ({self.r}) is doubled by publish: difference, and workers take a rank of at most 256")
        return self


class Extend(_LowRank):
    """Terms become tokens (vocabulary.py), whose rows are trained beside a LoRA; all is merged, and the result is a
    model: a base of its own, because adapters carry no tokens."""

    makes_model: ClassVar[bool] = True
    kind: Literal["extend"]
    terms: tuple[str, ...] = Field(min_length=1, description="Words; `python -m training.tune.terms` proposes some.")

    @model_validator(mode="after")
    def _are_words(self) -> Extend:
        for term in self.terms:
            if len(term) < 2 or term != unicodedata.normalize("NFC", term).strip() or len(term.split()) > 1:
                raise ValueError(f"terms: {term!r} is no word (NFC, two letters or more, no space)")
        if len(set(self.terms)) < len(self.terms):
            raise ValueError("terms: a word stands there twice")
        return self


Method = Annotated[Full | Lora | Dora | Qlora | Loftq | Extend, Field(discriminator="kind")]


class Data(Recipe):
    """Rows of JSON Lines, plain or gzipped: `text`, `messages`, or `prompt` with `chosen` and `rejected`."""

    files: tuple[Path, ...] = Field(min_length=1, description="Paths in the data folder, or here where it has none.")
    most_rows: int | None = Field(default=None, ge=1, description="Rows at most, drawn by the seed; all, if not given.")


class Training(Recipe):
    """The usual grid, by the names that people know it by; each is one argument of the trainer."""

    epochs: float = Field(default=1.0, gt=0, description="Passes over the rows; `steps` beats it.")
    steps: int | None = Field(default=None, ge=1, description="Optimiser steps, instead of epochs.")
    batch: int = Field(default=8, ge=1, description="Rows of one forward pass at most.")
    accumulation: int = Field(default=1, ge=1, description="Times `batch`: rows of a step, whatever the processes.")
    rate: float = Field(default=2e-4, gt=0, description="Highest learning rate.")
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"] = Field(
        default="cosine", description="How the rate changes after the warm-up."
    )
    warmup: float = Field(default=0.03, ge=0, description="Steps of rising rate; below 1 a share of all steps.")
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adafactor", "paged_adamw_8bit", "sgd"] = Field(
        default="adamw_torch", description="As transformers names it; `paged_adamw_8bit` needs a GPU."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="Share of a weight taken off at each step, times rate.")
    clip_norm: float = Field(default=1.0, gt=0, description="Longest gradient.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="Of the sums while training (autocast); trained weights stay in float32."
    )
    checkpointing: bool = Field(default=False, description="Compute activations again in the backward pass.")
    max_tokens: int = Field(default=512, ge=8, description="Longest row; longer conversations are left out, texts cut.")
    loader_workers: int = Field(default=0, ge=0, description="Processes that prepare batches; 0: this one.")
    pinned_memory: bool = Field(default=True, description="Batches lie where a GPU can fetch them; no effect on a CPU.")
    remove_unused_columns: bool = Field(default=True, description="Drop what the model's forward does not name.")
    ddp_find_unused_parameters: bool | None = Field(
        default=None,
        description="Over several processes: look for weights without gradients. Not given: as accelerate.",
    )
    log_steps: int = Field(default=10, ge=1, description="Steps between two points of the curves.")
    eval_steps: int = Field(default=100, ge=1, description="Steps between two evaluations.")
    save_steps: int = Field(default=100, ge=1, description="Steps between two checkpoints.")
    kept_checkpoints: int = Field(default=2, ge=1, description="Older ones are removed.")
    masked_share: float = Field(default=0.15, gt=0, lt=1, description="masked_lm: share of the tokens to guess.")
    beta: float = Field(default=0.1, gt=0, description="dpo: how closely the reference is kept to.")


class Stage(Recipe):
    """A part of the run with its own objective and data; it begins with what the one before it learned."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of its folder, like `m1-domain`.")
    objective: Objective = Field(description="causal_lm, masked_lm, sft (loss on answers only) or dpo.")
    data: Data = Field(description="What it learns from.")
    eval_data: Data | None = Field(default=None, description="Rows it is evaluated on while it learns.")
    eval_share: float = Field(
        default=0.05, ge=0, lt=1, description="Without eval_data: share of the rows that is held out, by their hash."
    )
    training: Training = Training()


class TuneRecipe(Recipe):
    """One fine-tuning of one base."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Name of the result.")
    seed: int = Field(default=20260101, ge=0, description="Of initial adapters, dropout, and the order of rows.")
    base: Path = Field(description="Folder of a model in transformers' format.")
    run_dir: Path = Field(description="Folder of checkpoints, curves and results; the same command goes on there.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU, if there is one.")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Of weights that are neither quantised nor trained; `full` wants float32."
    )
    method: Method = Field(description="full, lora, dora, qlora, loftq or extend, with its own options.")
    stages: tuple[Stage, ...] = Field(min_length=1, description="In order, like M1 (domain) and M2 (task).")
    held_out: dict[str, Data] = Field(
        default_factory=dict,
        description="Name -> rows whose loss is measured before the first stage and after each, like `general`, `m1`:"
        " what is forgotten shows there.",
    )
    report_to: Literal["none", "tensorboard", "wandb"] = Field(
        default="none",
        description="Where curves go besides the run's folder; wandb is offline if not told otherwise.",
    )
    sweep: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Dotted field of this recipe -> its values. Every combination is a run; one table holds them all.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> TuneRecipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages need names of their own, not {', '.join(names)}")
        if len({stage.objective == "masked_lm" for stage in self.stages}) > 1:
            raise ValueError("masked_lm wants an encoder, the other objectives a decoder: make two recipes")
        if self.is_masked and (self.held_out or self.method.kind in ("loftq", "extend")):
            raise ValueError("masked_lm goes without held_out, loftq and extend; its evaluation is that of eval_data")
        if self.method.kind == "full" and self.dtype != "float32":
            raise ValueError("method full trains the weights themselves: dtype must be float32 (precision may be bf16)")
        return self

    @property
    def is_masked(self) -> bool:
        """Whether an encoder is trained."""
        return self.stages[0].objective == "masked_lm"
