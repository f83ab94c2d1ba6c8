"""Mechanism: pieces of token ids to logits, one forward pass of the model for all of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from workers.engine.base import Picture
from workers.engine.paged_attention import PagedCache
from workers.engine.scheduler import Piece
from workers.engine.visual_slots import VisualSlots

BLOCK_SIZE = 32  # tokens; smaller ones share more, larger ones are read faster (BENCHMARKS.md)


def vocabulary_of(model: PreTrainedModel) -> int:
    """Number of token ids the model can read."""
    return int(model.get_input_embeddings().get_parameter("weight").shape[0])


def rounded(tokens: int) -> int:
    """A pass is filled up to one of few lengths, because a matrix product compiles itself anew for each (0.5 ms). What
    fills it is nobody's: it is not stored, sees nothing, and is seen by nobody."""
    step = 1 if tokens <= 16 else 4 if tokens <= 64 else 16 if tokens <= 512 else 64
    return -(-tokens // step) * step


@torch.inference_mode()
def vectors_of(model: Any, picture: Picture) -> torch.Tensor:
    """A picture as the language model reads it (tokens, width)."""
    pixels = torch.from_numpy(picture.pixels)[None].to(model.device, model.dtype)
    vectors: torch.Tensor = model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output[0]
    return vectors


class ModelRunner:
    """Drives a Hugging Face model over a PagedCache. Belongs to one thread.

    The model's attention is switched to ours for good: it cannot be called by others any more.
    """

    def __init__(self, model: PreTrainedModel, blocks: int = 128) -> None:
        """`blocks`: of KV memory (kv_memory.py gives more)."""
        self.cache = PagedCache(blocks, BLOCK_SIZE, torch.get_num_threads())
        decoder: Any = model.get_decoder()  # type: ignore[no-untyped-call]  # transformers
        decoder.set_attn_implementation(self.cache.name)  # a picture's encoder keeps its own
        model.train(False)
        self.model = model
        self.device = model.device
        self.slots = VisualSlots(vocabulary_of(model), functools.partial(vectors_of, model))

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
            **self._inputs(ids + padding),
            position_ids=torch.tensor([positions + padding], device=self.device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(wanted, dtype=torch.long, device=self.device),
        )
        logits: torch.Tensor = output.logits[0]
        return logits.float()

    def _inputs(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """Token ids, or their vectors if pictures are among them."""
        places = self.slots.places(ids)
        if not places:
            return {"input_ids": torch.tensor([ids], device=self.device)}
        visual = self.slots.vectors([ids[place] for place in places])
        for place in places:
            ids[place] = 0
        embed: Any = self.model.get_input_embeddings()
        vectors: torch.Tensor = embed(torch.tensor([ids], device=self.device))
        vectors[0, places] = visual.to(vectors.dtype)
        return {"inputs_embeds": vectors}
