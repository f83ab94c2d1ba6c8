"""How much memory keys and values may take."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from shared.errors import ConfigError
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner

_SHARE = {
    "cpu": 0.25,
    "cuda": 0.9,
}  # of what is free once the weights are loaded; a CPU's is shared with everything else


def reserve(runner: ModelRunner, facts: ModelFacts, *, slots: int, mib: int) -> ModelFacts:
    """Give the runner blocks for `slots` contexts, within `mib` MiB (0: a share of what is free). Returns the facts,
    with a shorter context if not even one whole context fits. Raises ConfigError if the memory holds next to
    nothing."""
    cache = runner.cache
    block_bytes, device = cache.block_bytes, runner.device
    budget = mib * 2**20 or _SHARE[device.type] * _free_bytes(device)
    most = int(budget // block_bytes)
    wanted = slots * -(-facts.context_length // cache.size)
    if most < 2:
        raise ConfigError(
            f"NUNMAL_WORKER__KV_MEMORY_MIB: {budget / 2**20:.0f} MiB hold less than {2 * cache.size} tokens"
        )
    blocks = min(most, wanted)
    cache.resize(blocks)
    return replace(facts, context_length=min(facts.context_length, blocks * cache.size))


def _free_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
