"""What is compared: models and adapters side by side, on which rows and questions, as one YAML file.

Paths of data are relative to the data folder; those of models are not. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from training.config import Recipe
from training.tune.recipe import Data


class Compared(Recipe):
    """One column of the table."""

    base: Path = Field(description="Folder of a model in transformers' format.")
    adapter: Path | None = Field(default=None, description="Folder of an adapter with its manifest; none: the base.")
    instruction: str = Field(default="", description="System turn before every question; empty: none.")


class JudgeServer(Recipe):
    """A server that speaks like OpenAI's and says which of two answers is better."""

    url: str = Field(pattern=r"^https?://", description="Its /v1, like http://127.0.0.1:8000/v1.")
    model: str = Field(description="Name of the model there.")
    key_file: Path | None = Field(default=None, description="File that holds the key alone; none: no key.")
    votes: int = Field(default=3, ge=1, le=9, description="How often each pair is asked in each order.")
    timeout_s: float = Field(default=60.0, gt=0, description="Of one answer.")


class CompareRecipe(Recipe):
    """One comparison; the first model is what the others are compared with."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Name of the page.")
    out: Path = Field(description="Folder of compare.md, compare.html and compare.json.")
    seed: int = Field(default=20260101, ge=0, description="Of what is drawn: rows, questions, resamples.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU, if there is one.")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="Of weights that are not quantised.")
    batch: int = Field(default=8, ge=1, description="Rows of one forward pass.")
    max_tokens: int = Field(default=1024, ge=8, description="Longest row; longer ones are left out, texts cut.")
    models: dict[str, Compared] = Field(min_length=1, description="Name -> model, in the table's order.")
    held_out: dict[str, Data] = Field(
        default_factory=dict, description="Name -> rows whose loss and bits a byte are measured."
    )
    answered: dict[str, Data] = Field(
        default_factory=dict, description="Name -> `messages` rows; the last turn is what an answer is held against."
    )
    choices: tuple[Literal["click", "kobbq", "korquad", "klue_nli", "nsmc", "mwp_math"], ...] = Field(
        default=(), description="Sets of the data folder's eval/, answered by likelihood."
    )
    most_questions: int = Field(default=200, ge=1, description="Of each such set, drawn by the seed.")
    max_new_tokens: int = Field(default=128, ge=1, description="Of an answer.")
    samples: int = Field(default=5, ge=0, description="Answers of each set that are shown.")
    embedder: Path | None = Field(
        default=None, description="Folder of an encoder for cosine similarity; none: letters alone are compared."
    )
    judge: JudgeServer | None = Field(default=None, description="Who prefers; none: nobody is asked.")
    resamples: int = Field(default=2000, ge=100, description="Of the bootstrap.")

    @model_validator(mode="after")
    def _has_something_to_do(self) -> CompareRecipe:
        if not (self.held_out or self.answered or self.choices):
            raise ValueError("nothing to compare: give held_out, answered or choices")
        return self
