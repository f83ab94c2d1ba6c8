"""Which device and precision a model runs in, and why (the reason is shown when the worker starts).

A CPU with bfloat16 instructions runs models above 300 million parameters in bfloat16. Measured (BENCHMARKS.md): 1.2 to
1.5 times as fast at 100 million, up to 1.8 at 320 million. It has a price: bfloat16 keeps 8 bits, so the order of a
sum, which depends on the batch, decides more often between two tokens, and an answer that another worker continues may
go on with other words; in float32 that takes two logits within 1e-4. Small models keep float32: they are fast enough,
and the reference model's card promises its answers word for word in it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from shared.errors import ConfigError

_QUANTISED = ("nf4", "int8")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LARGE = 300_000_000  # parameters; a CPU's memory bandwidth decides more and more, and bfloat16 is half the bytes


@dataclass(frozen=True, slots=True)
class Numerics:
    device: torch.device
    dtype: torch.dtype
    reason: str
    quantisation: str = "none"  # or "nf4", "int8" (vision/quantised.py); `dtype` is of what is not quantised


def choose_numerics(device: str, dtype: str, parameters: int | None = None) -> Numerics:
    """`device`: auto, cpu, cuda, cuda:N. `dtype`: auto, float32, bfloat16, float16, nf4, int8. `parameters`: how many.

    Raises ConfigError for a device this machine does not have.
    """
    chosen = _device(device)
    if dtype in _QUANTISED:
        beside = _fast_dtype(chosen)
        return Numerics(chosen, beside, f"{dtype} weights and {_name(beside)} on {chosen}, as configured", dtype)
    if dtype != "auto":
        return Numerics(chosen, _DTYPES[dtype], f"{dtype} on {chosen}, as configured")
    if chosen.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return Numerics(chosen, torch.bfloat16, f"bfloat16 on {chosen}, which computes it natively")
        return Numerics(chosen, torch.float16, f"float16 on {chosen}, which has no native bfloat16")
    if parameters is not None and parameters > _LARGE and _cpu_has_bfloat16():
        return Numerics(
            chosen, torch.bfloat16, "bfloat16 on cpu: a large model, and this CPU has bfloat16 instructions"
        )
    return Numerics(chosen, torch.float32, "float32 on cpu: exact, and small models lose nothing")


def use_threads(threads: int) -> int:
    """Set how many CPU threads the model uses; 0 leaves one core to the event loop. Returns the number."""
    count = threads or max(1, len(os.sched_getaffinity(0)) - 1)
    torch.set_num_threads(count)
    return count


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"NUNMAL_WORKER__DEVICE={device!r}: expected auto, cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"NUNMAL_WORKER__DEVICE={device!r}: this machine has {torch.cuda.device_count()} CUDA devices"
        )
    if chosen.type not in ("cpu", "cuda"):
        raise ConfigError(f"NUNMAL_WORKER__DEVICE={device!r}: expected auto, cpu, cuda or cuda:N")
    return chosen


def _fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where it is native."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cpu_has_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
