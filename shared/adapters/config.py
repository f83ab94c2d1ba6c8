"""adapter_config.json, held against the base: which layers are adapted, and which tensors there must be.

What is not read here and would change the mathematics is refused. Nothing is matched as a pattern, and
`base_model_name_or_path` decides nothing: a name is not a digest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shared.adapters.base import LinearShape
from shared.adapters.folder import CONFIG
from shared.adapters.refusals import AdapterNumberRefused, AdapterOptionRefused, AdapterTargetsRefused, R, refusal
from shared.adapters.weights import MOST_HEADER_BYTES

_MOST_RANK = 256
_MOST_ALPHA = 1e6
_PREFIX = "base_model.model."  # PEFT's, before the module's own name

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
_ADVICE = {
    "auto_mapping": ": train with task_type='CAUSAL_LM'",
    "layers_to_transform": ": name the layers in target_modules",
    "exclude_modules": ": name the layers in target_modules",
}


class LoraConfig:
    """`linears`: the base's layers that may be adapted. Raises AdapterRefused."""

    def __init__(self, adapter: str, config: Mapping[str, Any], linears: Mapping[str, LinearShape]) -> None:
        self._adapter = adapter
        self._linears = linears
        self._check_options(config)
        self.is_dora = self._flag(config, "use_dora")
        self.is_rslora = self._flag(config, "use_rslora")
        self.alpha = self._number(config.get("lora_alpha"), "lora_alpha", _MOST_ALPHA)
        self._rank = self._number(config.get("r"), "r", _MOST_RANK, is_whole=True)
        self._ranks = self._pattern(config, "rank_pattern", _MOST_RANK, is_whole=True)
        self._alphas = self._pattern(config, "alpha_pattern", _MOST_ALPHA)
        self.modules = self._targets(config.get("target_modules"))
        self.targets: tuple[str, ...] = tuple(config["target_modules"])

    @property
    def rank(self) -> int:
        """The greatest of its layers."""
        return max(self._rank_of(module) for module in self.modules)

    def scaling(self, module: str) -> float:
        rank = self._rank_of(module)
        return _first_match(self._alphas, module, self.alpha) / (math.sqrt(rank) if self.is_rslora else rank)

    def shapes(self, module: str) -> dict[str, tuple[int, ...]]:
        """Of this layer's tensors by their names in the file: A (r, in), B (out, r), and DoRA's magnitudes (out,)."""
        shape, rank, name = self._linears[module], self._rank_of(module), _PREFIX + module
        shapes: dict[str, tuple[int, ...]] = {
            f"{name}.lora_A.weight": (rank, shape.inputs),
            f"{name}.lora_B.weight": (shape.outputs, rank),
        }
        if self.is_dora:
            shapes[f"{name}.lora_magnitude_vector"] = (shape.outputs,)
        return shapes

    def all_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors that the file must have, and no other."""
        return {name: shape for module in self.modules for name, shape in self.shapes(module).items()}

    def most_bytes(self) -> int:
        """What the weights' file can have at most: all in float32."""
        return 4 * sum(math.prod(shape) for shape in self.all_shapes().values()) + MOST_HEADER_BYTES

    def _check_options(self, config: Mapping[str, Any]) -> None:
        if config.get("peft_type") != "LORA":
            raise self._option("peft_type", config.get("peft_type"), "expected 'LORA'")
        for key, value in config.items():
            if key not in _READ | _MEANINGLESS_HERE and not (value is None or value is False or value in ([], {})):
                reason = f"{key} is not supported{_ADVICE.get(key, '')}"
                raise self._refused(AdapterOptionRefused, f"{key}={value!r}", reason)
        if config.get("task_type") not in (None, "CAUSAL_LM"):
            raise self._option("task_type", config["task_type"], "expected 'CAUSAL_LM'")
        if config.get("bias", "none") != "none":
            raise self._option("bias", config["bias"], "expected 'none'")
        if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
            raise self._option("init_lora_weights", config["init_lora_weights"], "which changes the base")

    def _targets(self, targets: object) -> list[str]:
        """The modules that are adapted: those with one of these names, or whose name ends in ".<one of these>"."""
        if not (isinstance(targets, list) and targets and all(isinstance(target, str) for target in targets)):
            reason = "target_modules must be a list of names (a pattern is not taken)"
            raise self._refused(AdapterTargetsRefused, repr(targets), reason)
        if len(targets) > len(self._linears):
            reason = f"target_modules has {len(targets)} names, the base {len(self._linears)} layers"
            raise self._refused(AdapterTargetsRefused, str(len(targets)), reason)
        ends = {target: [module for module in self._linears if _matches(target, module)] for target in targets}
        for target, modules in ends.items():
            if not modules:
                reason = f"target_modules has {target!r}, no linear layer of the base that is adapted"
                raise self._refused(AdapterTargetsRefused, target, reason)
        return sorted({module for modules in ends.values() for module in modules})

    def _rank_of(self, module: str) -> int:
        return int(_first_match(self._ranks, module, self._rank))

    def _pattern(self, config: Mapping[str, Any], key: str, most: float, *, is_whole: bool = False) -> dict[str, float]:
        value = config.get(key) or {}
        if not isinstance(value, dict):
            raise self._refused(AdapterOptionRefused, f"{key}={value!r}", f"{key} must be an object")
        if len(value) > len(self._linears):
            reason = f"{key} has {len(value)} entries, the base {len(self._linears)} layers"
            raise self._refused(AdapterOptionRefused, f"{key}: {len(value)} entries", reason)
        for name in value:
            if not name.replace(".", "").replace("_", "").isalnum():
                reason = f"{key} has {name!r}: only names of modules or their ends are taken"
                raise self._refused(AdapterOptionRefused, f"{key}={name!r}", reason)
        return {name: self._number(number, f"{key}.{name}", most, is_whole=is_whole) for name, number in value.items()}

    def _number(self, value: Any, what: str, most: float, *, is_whole: bool = False) -> float:
        is_number = isinstance(value, int) if is_whole else isinstance(value, int | float)
        if is_number and not isinstance(value, bool) and 0 < value <= most:
            return float(value)
        reason = f"{what} is {value!r}, expected a number above 0 and at most {most:g}"
        raise self._refused(AdapterNumberRefused, f"{what}={value!r}", reason)

    def _flag(self, config: Mapping[str, Any], key: str) -> bool:
        value = config.get(key, False)
        if not isinstance(value, bool):
            raise self._refused(AdapterOptionRefused, f"{key}={value!r}", f"{key} must be true or false")
        return value

    def _option(self, key: str, value: object, expected: str) -> AdapterOptionRefused:
        return self._refused(AdapterOptionRefused, f"{key}={value!r}", f"{key} is {value!r}, {expected}")

    def _refused(self, kind: type[R], value: str, reason: str) -> R:
        return refusal(kind, self._adapter, CONFIG, value, reason)


def _first_match(pattern: Mapping[str, float], module: str, default: float) -> float:
    """PEFT takes the first key that fits, in the file's order."""
    return next((value for end, value in pattern.items() if _matches(end, module)), default)


def _matches(end: str, module: str) -> bool:
    return module == end or module.endswith(f".{end}")
