"""The files of a LoRA or DoRA adapter, as PEFT writes them, checked before a single tensor reaches the model.

    adapter_config.json         what PEFT was told; what is not read here and would change the mathematics is refused
    adapter_model.safetensors   for each adapted linear layer lora_A (r, in), lora_B (out, r); DoRA: magnitudes (out,)
    nunmal.json                 {"base_digest": ..., "numerics": "none" | "nf4" | "int8"}: what it was trained on

Adapters come from outside. Nothing in them is executed or matched as a pattern, the bytes that were checked are the
bytes that are used and digested, and `base_model_name_or_path` decides nothing: a name is not a digest. Not here: what
the adapter says.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse_safetensors

from shared.errors import AdapterRefused

CONFIG, WEIGHTS, MANIFEST = "adapter_config.json", "adapter_model.safetensors", "nunmal.json"

_MOST_RANK = 256
_MOST_ALPHA = 1e6
_MOST_JSON_BYTES = 256 << 10
_MOST_HEADER_BYTES = 4 << 20  # of the safetensors file: names and shapes
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_UNSAFE = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".py", ".so"})
_PREFIX = "base_model.model."  # PEFT's, before the module's own name
_A, _B, _MAGNITUDE = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"

# These begin where the base was left as it is; the others (pissa, olora, loftq, ...) take something away from it first.
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal", "eva")
_READ = frozenset(
    {"peft_type", "task_type", "bias", "init_lora_weights", "target_modules", "use_dora", "use_rslora"}
    | {"r", "lora_alpha", "rank_pattern", "alpha_pattern"}
)
_MEANINGLESS_HERE = frozenset(
    {"base_model_name_or_path", "revision", "peft_version", "inference_mode", "lora_dropout", "megatron_core"}
    | {"qalora_group_size"}  # without use_qalora
)


@dataclass(frozen=True, slots=True)
class LinearShape:
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class LoraTensors:
    """Of one linear layer, on the CPU and in the file's dtype."""

    a: torch.Tensor  # (r, in)
    b: torch.Tensor  # (out, r)
    magnitude: torch.Tensor | None  # (out,): DoRA
    scaling: float


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    digest: str  # SHA-256 over names and contents of the three files
    rank: int  # the greatest of its layers
    is_dora: bool
    base_digest: str
    numerics: str
    layers: dict[str, LoraTensors]  # by the module's name in the base model


def read_adapter(
    name: str, directory: Path, linears: Mapping[str, LinearShape], base_digest: str, numerics: str
) -> AdapterFiles:
    """Check everything about an adapter. `linears`: the base's layers that may be adapted. Raises AdapterRefused."""
    _check_directory(name, directory)
    config_bytes = _content(name, directory / CONFIG, _MOST_JSON_BYTES)
    manifest_bytes = _content(name, directory / MANIFEST, _MOST_JSON_BYTES)
    _check_base(name, _json_object(name, MANIFEST, manifest_bytes), base_digest, numerics)
    config = _Config(name, _json_object(name, CONFIG, config_bytes), linears)
    weights_bytes = _content(name, directory / WEIGHTS, config.most_bytes())
    tensors = _tensors(name, weights_bytes)
    layers = {module: config.take(module, tensors) for module in config.modules}
    if tensors:
        raise refused(name, f"{len(tensors)} tensors fit no targeted layer, first {min(tensors)!r}")
    digest = hashlib.sha256()
    for file, content in ((CONFIG, config_bytes), (WEIGHTS, weights_bytes), (MANIFEST, manifest_bytes)):
        digest.update(f"{file} {hashlib.sha256(content).hexdigest()}\n".encode())
    rank = max(len(layer.a) for layer in layers.values())
    return AdapterFiles(digest.hexdigest(), rank, config.is_dora, base_digest, numerics, layers)


def refused(name: str, reason: str) -> AdapterRefused:
    """One line, whatever the reason looked like."""
    reason = " ".join(reason.split())[:300]
    return AdapterRefused(f"adapter {name}: {reason}", adapter=name, reason=reason)


class _Config:
    """adapter_config.json, held against the base."""

    def __init__(self, name: str, config: dict[str, Any], linears: Mapping[str, LinearShape]) -> None:
        self._name = name
        self._linears = linears
        if config.get("peft_type") != "LORA":
            raise refused(name, f"peft_type is {config.get('peft_type')!r}, expected 'LORA'")
        for key, value in config.items():
            if key not in _READ | _MEANINGLESS_HERE and not (value is None or value is False or value in ([], {})):
                raise refused(name, f"{key} is not supported{_ADVICE.get(key, '')}")
        if config.get("task_type") not in (None, "CAUSAL_LM"):
            raise refused(name, f"task_type is {config['task_type']!r}, expected 'CAUSAL_LM'")
        if config.get("bias", "none") != "none":
            raise refused(name, f"bias is {config['bias']!r}, expected 'none'")
        if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
            raise refused(name, f"init_lora_weights is {config['init_lora_weights']!r}, which changes the base")
        self.is_dora = self._flag(config, "use_dora")
        self._is_rslora = self._flag(config, "use_rslora")
        self._rank = self._number(config.get("r"), "r", _MOST_RANK, is_whole=True)
        self._alpha = self._number(config.get("lora_alpha"), "lora_alpha", _MOST_ALPHA)
        self._ranks = self._pattern(config, "rank_pattern", _MOST_RANK, is_whole=True)
        self._alphas = self._pattern(config, "alpha_pattern", _MOST_ALPHA)
        self.modules = self._targets(config.get("target_modules"))

    def most_bytes(self) -> int:
        """What the weights' file can have at most: all in float32."""
        shapes = [(self._linears[module], self._rank_of(module)) for module in self.modules]
        numbers = sum(rank * (shape.inputs + shape.outputs) + shape.outputs for shape, rank in shapes)
        return 4 * numbers + _MOST_HEADER_BYTES

    def take(self, module: str, tensors: dict[str, torch.Tensor]) -> LoraTensors:
        """This layer's tensors, taken out of `tensors`."""
        shape, rank = self._linears[module], self._rank_of(module)
        alpha = _first_match(self._alphas, module, self._alpha)
        return LoraTensors(
            a=self._tensor(module + _A, (rank, shape.inputs), tensors),
            b=self._tensor(module + _B, (shape.outputs, rank), tensors),
            magnitude=self._tensor(module + _MAGNITUDE, (shape.outputs,), tensors) if self.is_dora else None,
            scaling=alpha / (math.sqrt(rank) if self._is_rslora else rank),
        )

    def _tensor(self, key: str, shape: tuple[int, ...], tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        tensor = tensors.pop(_PREFIX + key, None)
        if tensor is None:
            raise refused(self._name, f"{key} is missing")
        if tensor.shape != shape:
            raise refused(self._name, f"{key} has shape {tuple(tensor.shape)}, expected {shape}")
        if tensor.dtype not in _DTYPES:
            raise refused(self._name, f"{key} is {tensor.dtype}, expected one of {', '.join(map(str, _DTYPES))}")
        if not tensor.isfinite().all():
            raise refused(self._name, f"{key} has values that are not finite")
        return tensor

    def _targets(self, targets: object) -> list[str]:
        """The modules that are adapted: those with one of these names, or whose name ends in ".<one of these>"."""
        if not (isinstance(targets, list) and targets and all(isinstance(target, str) for target in targets)):
            raise refused(self._name, "target_modules must be a list of names (a pattern is not taken)")
        ends = {target: [module for module in self._linears if _matches(target, module)] for target in targets}
        for target, modules in ends.items():
            if not modules:
                raise refused(self._name, f"target_modules has {target!r}, no linear layer of the base's decoder")
        return sorted({module for modules in ends.values() for module in modules})

    def _rank_of(self, module: str) -> int:
        return int(_first_match(self._ranks, module, self._rank))

    def _pattern(self, config: dict[str, Any], key: str, most: float, *, is_whole: bool = False) -> dict[str, float]:
        value = config.get(key) or {}
        if not isinstance(value, dict):
            raise refused(self._name, f"{key} must be an object")
        for name in value:
            if not name.replace(".", "").replace("_", "").isalnum():
                raise refused(self._name, f"{key} has {name!r}: only names of modules or their ends are taken")
        return {name: self._number(number, f"{key}.{name}", most, is_whole=is_whole) for name, number in value.items()}

    def _number(self, value: Any, what: str, most: float, *, is_whole: bool = False) -> float:
        is_number = isinstance(value, int) if is_whole else isinstance(value, int | float)
        if is_number and not isinstance(value, bool) and 0 < value <= most:
            return float(value)
        raise refused(self._name, f"{what} is {value!r}, expected a number above 0 and at most {most:g}")

    def _flag(self, config: dict[str, Any], key: str) -> bool:
        value = config.get(key, False)
        if not isinstance(value, bool):
            raise refused(self._name, f"{key} must be true or false")
        return value


_ADVICE = {
    "auto_mapping": ": train with task_type='CAUSAL_LM'",
    "layers_to_transform": ": name the layers in target_modules",
    "exclude_modules": ": name the layers in target_modules",
}


def _check_directory(name: str, directory: Path) -> None:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise refused(name, f"its directory cannot be read ({error.strerror})") from error
    for entry in entries:
        if not entry.is_file(follow_symlinks=False):
            raise refused(name, f"{entry.name!r} is not a plain file")
        if Path(entry.name).suffix.lower() in _UNSAFE:
            raise refused(name, f"{entry.name!r}: files of this kind can hold code, only safetensors are taken")


def _content(name: str, file: Path, most_bytes: int) -> bytes:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # neither a link nor a pipe may wait
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise refused(name, f"{file.name} is not a plain file")
            content = opened.read(most_bytes + 1)
    except FileNotFoundError as error:
        raise refused(name, f"no {file.name}") from error
    except OSError as error:
        raise refused(name, f"{file.name} cannot be read ({error.strerror})") from error
    if len(content) > most_bytes:
        raise refused(name, f"{file.name} is larger than {most_bytes} bytes, the most such an adapter can have")
    return content


def _json_object(name: str, file: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refused(name, f"{file} is not valid JSON") from error
    if not isinstance(value, dict):
        raise refused(name, f"{file} is not a JSON object")
    return value


def _check_base(name: str, manifest: dict[str, Any], base_digest: str, numerics: str) -> None:
    if manifest.get("base_digest") != base_digest:
        raise refused(name, f"it belongs to base {manifest.get('base_digest')!r}, this worker serves {base_digest!r}")
    if manifest.get("numerics") != numerics:
        raise refused(name, f"its base had numerics {manifest.get('numerics')!r}, this worker's has {numerics!r}")


def _tensors(name: str, content: bytes) -> dict[str, torch.Tensor]:
    if int.from_bytes(content[:8], "little") > _MOST_HEADER_BYTES:
        raise refused(name, f"the header of {WEIGHTS} is larger than {_MOST_HEADER_BYTES} bytes")
    try:
        return parse_safetensors(content)
    except Exception as error:  # the library raises its own error, or whatever an unknown dtype leads to
        raise refused(name, f"{WEIGHTS} is damaged or cut short ({error})") from error


def _first_match(pattern: Mapping[str, float], module: str, default: float) -> float:
    """PEFT takes the first key that fits, in the file's order."""
    return next((value for end, value in pattern.items() if _matches(end, module)), default)


def _matches(end: str, module: str) -> bool:
    return module == end or module.endswith(f".{end}")
