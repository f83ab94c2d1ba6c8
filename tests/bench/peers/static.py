"""Static batching: `generate` of transformers, as a peer: `python -m tests.bench.peers.static MODEL DTYPE`.

Asked `{"rows": [[id, ...], ...]}` it tells how far the two likeliest next tokens of each row lie apart in logits:
`{"gaps": [...]}`.
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tests.bench.peers.lines import Ids, questions, timed


@torch.inference_mode()
def generate(model: PreTrainedModel, prompts: Ids, new: int) -> Ids:
    """Prompts of one length: nothing is padded."""
    rows = torch.tensor(prompts)
    found = model.generate(  # type: ignore[operator]  # transformers
        input_ids=rows, attention_mask=torch.ones_like(rows), max_new_tokens=new, do_sample=False
    )
    answers: Ids = found[:, rows.shape[1] :].tolist()
    return answers


@torch.inference_mode()
def gap(model: PreTrainedModel, row: list[int]) -> float:
    """Between the logits of the two likeliest tokens after these."""
    logits = model(input_ids=torch.tensor([row]), use_cache=False, logits_to_keep=1).logits[0, -1].float()
    best, second = logits.topk(2).values.tolist()
    return float(best - second)


def main() -> None:
    asked, tell = questions()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[2]))
    model.train(False)
    tell({})
    for question in asked:
        if "rows" in question:
            tell({"gaps": [gap(model, row) for row in question["rows"]]})
        else:
            tell(timed(lambda prompts, new: generate(model, prompts, new), question))


if __name__ == "__main__":
    main()
