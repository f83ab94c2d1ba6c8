"""vLLM on a CPU, as a peer: `python -m tests.bench.peers.vllm_cpu MODEL DTYPE CORE ROWS TOKENS`, its one thread on that
core, for that many answers at once of at most so many tokens each, prompts included.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.bench.peers.lines import Ids, questions, timed


def answers(engine: Any, sampling: Any, prompts: Ids, new: int) -> Ids:
    """Without detokenising and without looking for an end."""
    outputs = engine.generate(
        [{"prompt_token_ids": ids} for ids in prompts],
        sampling(temperature=0, max_tokens=new, ignore_eos=True, detokenize=False),
        use_tqdm=False,
    )
    return [list(output.outputs[0].token_ids) for output in outputs]


def main() -> None:
    asked, tell = questions()
    source, dtype, core, rows, tokens = sys.argv[1:]
    os.environ |= {"VLLM_CPU_OMP_THREADS_BIND": core, "VLLM_CPU_KVCACHE_SPACE": "4", "OMP_NUM_THREADS": "1"}
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found]  # reads the environment

    engine = LLM(
        model=source,
        dtype=dtype,
        max_model_len=int(tokens),
        max_num_seqs=int(rows),
        enable_prefix_caching=False,  # no prompt is asked twice
        skip_tokenizer_init=True,
    )
    tell({})
    for question in asked:
        tell(timed(lambda prompts, new: answers(engine, SamplingParams, prompts, new), question))


if __name__ == "__main__":
    main()
