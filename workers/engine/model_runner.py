"""Mechanism: pieces of token ids to logits, one forward pass of the model for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from workers.engine.paged_attention import PagedCache
from workers.engine.scheduler import Piece

BLOCK_SIZE = 32  # tokens; smaller ones share more, larger ones are read faster (BENCHMARKS.md)


def vocabulary_of(model: PreTrainedModel) -> int:
    """Number of token ids the model can read."""
    return int(model.get_input_embeddings().get_parameter("weight").shape[0])


def rounded(tokens: int) -> int:
    """A pass is filled up to one of few lengths, because a matrix product compiles itself anew for each (0.5 ms). What
    fills it is nobody's: it is not stored, sees nothing, and is seen by nobody."""
    step = 1 if tokens <= 16 else 4 if tokens <= 64 else 16 if tokens <= 512 else 64
    return -(-tokens // step) * step


class ModelRunner:
    """Drives an unmodified Hugging Face model over a PagedCache. Belongs to one thread.

    The model's attention is switched to ours for good: it cannot be called by others any more.
    """

    def __init__(self, model: PreTrainedModel, blocks: int = 128) -> None:
        """`blocks`: of KV memory (kv_memory.py gives more)."""
        self.cache = PagedCache(blocks, BLOCK_SIZE, torch.get_num_threads())
        model.set_attn_implementation(self.cache.name)
        model.train(False)
        self.model = model
        self.device = model.device

    @torch.inference_mode()
    def forward(self, pieces: Sequence[Piece], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Compute these pieces; `tokens` are their token ids. Returns the logits (rows, vocab) fp32 that follow the
        pieces that are the last of theirs, in order."""
        self.cache.begin(pieces)
        ids = [token_id for some in tokens for token_id in some]
        positions = [position for piece in pieces for position in range(piece.start, piece.stop)]
        padding = [0] * (rounded(len(ids)) - len(ids))
        wanted, end = [], 0
        for piece in pieces:
            end += piece.stop - piece.start
            if piece.is_last:
                wanted.append(end - 1)
        output = self.model(
            input_ids=torch.tensor([ids + padding], device=self.device),
            position_ids=torch.tensor([positions + padding], device=self.device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(wanted, dtype=torch.long, device=self.device),
        )
        logits: torch.Tensor = output.logits[0]
        return logits.float()
