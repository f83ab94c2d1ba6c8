"""Mechanism: token ids to logits, one forward pass of the model for all rows at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from workers.engine import attention
from workers.engine.kv_cache import SlotCache


def vocabulary_of(model: PreTrainedModel) -> int:
    """Number of token ids the model can read."""
    return int(model.get_input_embeddings().get_parameter("weight").shape[0])


class ModelRunner:
    """Drives an unmodified Hugging Face model over a SlotCache. Belongs to one thread.

    The model's attention is switched to ours for good: ordinary `generate` calls on it still work.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        attention.register()
        model.set_attn_implementation(attention.SLOT_ATTENTION)
        model.train(False)
        self._model = model
        self._device = model.device
        self.cache = SlotCache()

    @torch.inference_mode()
    def prefill(self, row: int, start: int, token_ids: Sequence[int]) -> torch.Tensor:
        """Read these prompt tokens into `row` from position `start`. Returns the last one's logits: (1, vocab) fp32."""
        return self._forward(row, [list(token_ids)], [start])

    @torch.inference_mode()
    def decode(self, first_row: int, token_ids: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """One new token for each row from `first_row`, at these positions. Returns logits: (rows, vocab) fp32."""
        return self._forward(first_row, [[token_id] for token_id in token_ids], positions)

    def _forward(self, first_row: int, token_ids: list[list[int]], positions: Sequence[int]) -> torch.Tensor:
        length = len(token_ids[0])
        self.cache.begin(first_row, positions, length, self._device)
        position_ids = [list(range(position, position + length)) for position in positions]
        output = self._model(
            input_ids=torch.tensor(token_ids, device=self._device),
            position_ids=torch.tensor(position_ids, device=self._device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits.float()
