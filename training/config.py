"""Recipes: what one training run is, as frozen typed values read from one YAML file.

This is not the settings of the house (`shared/settings.py`): nothing here is read from the
environment. Unknown keys are errors, so a misspelt option stops the run at the door.

How to run: every recipe carries its launch command in its first lines, for example
    python -m training.pretrain training/recipes/reference_pretrain.yaml --minutes 60
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Recipe(BaseModel):
    """Base of every recipe: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelShape(Recipe):
    """The sizes of a Llama model that is built from nothing."""

    vocab_size: int = 8192
    hidden_size: int = 256
    intermediate_size: int = 688
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    max_position_embeddings: int = 4096
    rope_theta: float = 10_000.0

    @model_validator(mode="after")
    def _heads_divide(self) -> ModelShape:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be divisible by "
                f"num_attention_heads ({self.num_attention_heads})"
            )
        return self


class Optimizer(Recipe):
    """Muon for the 2-D matrices inside the blocks, AdamW for everything else."""

    muon_lr: float = 0.02
    adam_lr: float = 0.003
    weight_decay: float = 0.01
    warmup_steps: int = 50
    clip_norm: float = 1.0
    final_lr_share: float = 0.0  # share of the peak rate that is left at the end


class RowLength(Recipe):
    """Rows of `tokens` tokens make up `share` of the steps."""

    tokens: int
    share: float


class TokenizerRecipe(Recipe):
    """One byte-level BPE vocabulary."""

    vocab_size: int = 8192
    sources: dict[str, float] = Field(description="source name -> how often its text is counted")
    templates_weight: float = 1.0
    seed: int = 0
    output_dir: Path


class PretrainRecipe(Recipe):
    """One pretraining run: next-token loss on prose and on chat-shaped text."""

    name: str
    seed: int
    tokenizer_dir: Path
    run_dir: Path
    model: ModelShape
    optimizer: Optimizer
    sources: dict[str, float] = Field(description="source name -> repeats per epoch")
    templates_weight: float = 0.0  # repeats of our own templates per epoch
    tokens_per_step: int = 4096
    row_lengths: tuple[RowLength, ...]
    checkpoint_minutes: float = 5.0

    @model_validator(mode="after")
    def _rows_fit(self) -> PretrainRecipe:
        for row in self.row_lengths:
            if self.tokens_per_step % row.tokens:
                raise ValueError(
                    f"tokens_per_step ({self.tokens_per_step}) must be a multiple of every row length ({row.tokens})"
                )
        return self


class Sampling(Recipe):
    """The settings that are shipped in generation_config.json."""

    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 20
    max_new_tokens: int = 128
    seed: int = 20260101


class SftRecipe(Recipe):
    """One supervised run: loss on the assistant's tokens only."""

    name: str
    seed: int
    base_recipe: Path = Field(description="the pretraining whose last checkpoint we start from")
    tokenizer_dir: Path
    run_dir: Path
    optimizer: Optimizer
    sources: dict[str, float] = Field(description="source name -> repeats per epoch")
    label_weights: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="source -> label of a row -> factor on its weight"
    )
    template_weights: dict[str, float] = Field(
        default_factory=dict, description="template file stem -> repeats per epoch, 1 if not named"
    )
    joined_share: float = 0.15  # share of single turns that are joined to longer chats
    opening_tokens: int = 0  # the first tokens of an answer count `opening_weight` times
    opening_weight: int = 1
    tokens_per_batch: int = 4096
    max_tokens: int = 512
    sampling: Sampling = Sampling()
    checkpoint_minutes: float = 5.0
    publish_dir: Path


class EncoderShape(Recipe):
    """The sizes of a SigLIP-style encoder that is built from nothing."""

    image_size: int = 128  # pixels, both ways
    patch_size: int = 16
    hidden_size: int = 256
    intermediate_size: int = 1024
    num_hidden_layers: int = 6
    num_attention_heads: int = 4

    @model_validator(mode="after")
    def _patches_fit(self) -> EncoderShape:
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size ({self.image_size}) must be divisible by patch_size ({self.patch_size})")
        return self

    @property
    def grid(self) -> int:
        """Patches of a picture, both ways."""
        return self.image_size // self.patch_size


class ParserRecipe(Recipe):
    """One pre-training of the scene parser."""

    name: str
    seed: int
    run_dir: Path
    scenes: tuple[Path, ...] = Field(description="folders written by python -m vision.scenes")
    begun: Path | None = Field(default=None, description="a published model with eyes: what they learned goes on")
    grey_share: float = Field(default=0.0, ge=0, le=0.5, description="share of pictures shown without colour")
    turned_share: float = Field(default=0.0, ge=0, le=0.5, description="share of pictures shown in turned hues")
    encoder: EncoderShape
    optimizer: Optimizer
    pictures_per_step: int = 64
    checkpoint_minutes: float = 5.0


class Stage(Recipe):
    """A part of the alignment that has its own data and learns its own weights."""

    name: str
    after: str | None = Field(default=None, description="the stage whose last checkpoint it begins with")
    begun: Path | None = Field(
        default=None, description="a published model with eyes: it goes on from there, and not from `after`"
    )
    pictures: bool = Field(description="whether pictures are shown, or only lists of what is in them")
    learns: tuple[Literal["language", "projector"], ...]
    optimizer: Optimizer
    conversation_share: float = Field(default=0.15, ge=0, lt=1, description="share of tokens of plain conversations")


class LoraShape(Recipe):
    """What is learned of a language model whose own weights stay as they are (arXiv:2106.09685)."""

    r: int = Field(default=64, ge=1, description="rank of each adapter")
    alpha: int = Field(default=128, ge=1, description="an adapter counts alpha / r times")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="share of an adapter's inputs left out of a step")
    targets: tuple[str, ...] = Field(
        default=(), description="last names of linear layers in its blocks, such as q_proj; none: all of them"
    )
    tokens: tuple[str, ...] = Field(
        default=(), description="ordinary tokens that the model never met in training; their rows are learned too"
    )


class AlignRecipe(Recipe):
    """One alignment of an encoder with a language model."""

    name: str
    seed: int
    run_dir: Path
    language_model: Path = Field(description="a folder in transformers' format")
    parser: Path = Field(description="recipe of the parser whose encoder sees")
    scenes: tuple[Path, ...] = Field(description="folders written by python -m vision.scenes")
    conversations: Path = Field(description="recipe of the fine-tuning whose conversations are not to be forgotten")
    lora: LoraShape | None = Field(default=None, description="what learns in the language model; none: all its weights")
    stages: tuple[Stage, ...]
    scenes_per_epoch: int = 3000
    tokens_per_batch: int = 4096
    checkpoint_minutes: float = 5.0

    def stage(self, name: str) -> Stage:
        """Raises: ValueError: there is none of this name."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ValueError(f"no stage {name!r}; there are {', '.join(s.name for s in self.stages)}")


class LlavaStage(Recipe):
    """One pass over image-text data in LLaVA's JSON format."""

    data: Path = Field(description="a list of {id, image, conversations: [{from, value}]}")
    images: Path = Field(description="folder that the rows' images lie in")
    epochs: float = Field(default=1.0, gt=0, description="how often every row is seen")
    batch_size: int = Field(default=8, ge=1, description="rows on a device at once")
    accumulation: int = Field(default=1, ge=1, description="such batches before a step")
    learning_rate: float = Field(gt=0, description="the peak; it falls to nothing along a cosine")
    warmup_share: float = Field(default=0.03, ge=0, lt=1, description="share of the steps in which the rate rises")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW")
    clip_norm: float = Field(default=1.0, gt=0, description="greatest norm of a step's gradient")
    max_tokens: int = Field(
        default=2048, ge=2, description="rows longer than this, their pictures included, are left out"
    )
    log_steps: int = Field(default=10, ge=1, description="steps between two points of the loss curve")
    checkpoint_steps: int = Field(default=500, ge=1, description="steps between two checkpoints")


class LlavaRecipe(Recipe):
    """One joining of an image encoder and a language model that others have trained."""

    name: str = Field(description="what the manifest calls the result")
    seed: int = Field(description="of the projector's first weights, of the order of rows, and of dropout")
    run_dir: Path = Field(description="where the stages keep their checkpoints, curves and refused rows")
    publish_dir: Path = Field(description="where the finished model is put")
    encoder: Path = Field(description="folder of a SigLIP or CLIP model in transformers' format")
    language_model: Path = Field(description="folder of a causal language model in transformers' format")
    image_token: str = Field(default="<image>", min_length=2, description="stands for a picture; added if missing")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="of the parts and the result; what learns is float32"
    )
    gradient_checkpointing: bool = Field(default=True, description="less memory, a third more time")
    loader_processes: int = Field(default=4, ge=0, description="that open pictures; 0: the training does so itself")
    describe: LlavaStage = Field(description="the first stage: the projector alone learns")
    answer: LlavaStage = Field(description="the second stage: projector and adapters learn")
    lora: LoraShape = Field(default=LoraShape(), description="of the second stage")


R = TypeVar("R", bound=Recipe)


def load_recipe(path: Path, kind: type[R]) -> R:
    """Read one recipe. Raises: pydantic.ValidationError naming the bad key and value."""
    return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
