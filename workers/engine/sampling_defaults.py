"""How a model chooses tokens when nobody asked otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from shared.chat import SamplingParams


@dataclass(frozen=True, slots=True)
class SamplingDefaults:
    """The model's own way (generation_config.json), and the house's limit on the length of an answer."""

    temperature: float  # 0 is greedy
    top_p: float
    top_k: int  # 0: off
    max_new_tokens: int
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def resolve(self, asked: SamplingParams) -> SamplingDefaults:
        """What was asked, the model's default where nothing was; never more tokens than the limit."""
        return SamplingDefaults(
            self.temperature if asked.temperature is None else asked.temperature,
            self.top_p if asked.top_p is None else asked.top_p,
            self.top_k if asked.top_k is None else asked.top_k,
            min(self.max_new_tokens, asked.max_new_tokens or self.max_new_tokens),
            self.min_p if asked.min_p is None else asked.min_p,
            self.repetition_penalty if asked.repetition_penalty is None else asked.repetition_penalty,
        )
