"""What a model with eyes wants of pictures: those that make equally many vectors of every picture, as LLaVA does, and
read them like words. Others (pictures of any size, pictures that are read both ways) still talk.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from shared.telemetry import fields
from vision.decoder import has_eyes
from workers.engine.base import Picture
from workers.engine.facts import PictureFacts
from workers.engine.model_runner import ModelRunner, vectors_of
from workers.engine.scheduler import Piece
from workers.engine.visual_slots import with_slots

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What the model itself says after a picture of noise between two words."""

    facts: PictureFacts
    picture: Picture
    prompt: list[int]
    logits: torch.Tensor  # (vocab,)


@torch.inference_mode()
def glimpse(model: PreTrainedModel) -> Glimpse | None:
    """Before its attention is switched to ours. None: it has no eyes, or such that want more than pixels."""
    config: Any = model.config
    if not has_eyes(config):
        return None
    try:
        size = config.vision_config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        picture = Picture("noise", np.random.default_rng(0).normal(size=(3, height, width)).astype(np.float32))
        tokens = len(vectors_of(model, picture))
        facts = PictureFacts(int(config.image_token_id), tokens, int(height), int(width))
        prompt = [0, *[facts.placeholder] * tokens, 0]
        pixels = torch.from_numpy(picture.pixels)[None].to(model.device, model.dtype)
        output = model(input_ids=torch.tensor([prompt], device=model.device), pixel_values=pixels)
    except Exception as error:  # another family's eyes
        log.warning("eyes_unused", extra=fields(reason=str(error)))
        return None
    return Glimpse(facts, picture, prompt, output.logits[0, -1].float())


def verified(seen: Glimpse | None, runner: ModelRunner, tolerance: float) -> PictureFacts | None:
    """How pictures are shown to this model, if a runner gives what it gave itself. `tolerance`: of its largest logit.
    The runner has a block for each 32 tokens of the glimpse."""
    if seen is None:
        return None
    try:
        ids = with_slots(seen.prompt, seen.facts.placeholder, [runner.slots.hold(seen.picture)])
        blocks = list(range(-(-len(ids) // runner.cache.size)))
        logits = runner.forward([Piece("glimpse", 0, len(ids), blocks, is_last=True)], [ids])[0]
        runner.slots.release(seen.picture)
        difference = (logits - seen.logits).abs().max()
        if difference <= tolerance * seen.logits.abs().max():
            return seen.facts
        log.warning("eyes_unused", extra=fields(reason=f"logits differ by {difference:.3g}"))
    except Exception as error:
        log.warning("eyes_unused", extra=fields(reason=str(error)))
    return None
