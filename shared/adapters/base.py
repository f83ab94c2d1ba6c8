"""What an adapter must fit: the base model as a worker describes it, in names and numbers.

A worker publishes this when its model is loaded (shared/store/adapters.py keeps it), so that an adapter can be checked
where no model is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DtypeName = Literal["F32", "BF16", "F16"]  # of an adapter's tensors, as safetensors calls them


@dataclass(frozen=True, slots=True)
class LinearShape:
    """Of a layer that may be adapted; its weight is (outputs, inputs)."""

    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class BaseDescription:
    """`digest` is the one that the worker's heartbeat tells (`WorkerStatus.model_digest`)."""

    digest: str
    numerics: str  # how its weights are kept: "none", "nf4", "int8"
    linears: Mapping[str, LinearShape]  # by the module's name: all that may be adapted, and nothing else
