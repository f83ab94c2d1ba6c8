"""transformers' own continuous batching, as a peer: `python -m tests.bench.peers.transformers_cb MODEL DTYPE DEVICE
ROWS TOKENS`, for that many answers at once of at most so many tokens each, prompts included.

On a CPU its cache would take nine tenths of the memory; here it is as large as ROWS answers need.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

from tests.bench.peers.lines import Ids, questions, timed

PAGE = 256  # tokens, its default


def blocks(rows: int, tokens: int) -> int:
    """Pages that hold `rows` sequences of `tokens` tokens, and a few to spare."""
    return rows * math.ceil(tokens / PAGE) + 8


def answers(manager: Any, prompts: Ids, new: int) -> Ids:
    """Raises RuntimeError if one fails or the manager's thread ends."""
    names = manager.add_requests(inputs=prompts, max_new_tokens=new)
    ended: dict[str, list[int]] = {}
    while len(ended) < len(names):
        result = manager.get_result(timeout=1)
        if result is None:
            if not manager.is_running():
                raise RuntimeError("its thread has ended")
        elif result.error is not None:
            raise RuntimeError(result.error)
        elif result.is_finished():
            ended[result.request_id] = list(result.generated_tokens)
    return [ended[name] for name in names]


def main() -> None:
    asked, tell = questions()
    source, dtype, device, rows, tokens = sys.argv[1:]
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype))
    model.to(torch.device(device))  # type: ignore[arg-type]  # transformers
    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(  # type: ignore[no-untyped-call]  # transformers
            do_sample=False, eos_token_id=-1, max_new_tokens=int(tokens)
        ),
        continuous_batching_config=ContinuousBatchingConfig(num_blocks=blocks(int(rows), int(tokens))),
    )
    manager.start()
    tell({})
    for question in asked:
        tell(timed(lambda prompts, new: answers(manager, prompts, new), question))
    manager.stop(block=True, timeout=5)


if __name__ == "__main__":
    main()
