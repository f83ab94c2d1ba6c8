"""Before a model serves anybody: do sequences of different lengths, in pieces and side by side, give what the model
gives by itself?

Architectures whose attention does not go through transformers' registries fail here, with one line, instead of
talking nonsense later.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from shared.errors import ModelError
from workers.engine.eyes import glimpse, verified
from workers.engine.facts import PictureFacts
from workers.engine.faster_modules import replace_modules
from workers.engine.model_files import model_error
from workers.engine.model_runner import BLOCK_SIZE, ModelRunner, vocabulary_of
from workers.engine.scheduler import Piece

_LENGTHS = (12, 8)  # tokens of two sequences; the shorter is a beginning of the longer
_CHUNK = 5
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.05}  # of the largest logit


def verified_runner(source: str, model: PreTrainedModel) -> tuple[ModelRunner, PictureFacts | None]:
    """A runner whose logits were compared with the model's own, and how it is shown pictures if it can be. Raises
    ModelError."""
    vocabulary = vocabulary_of(model)
    tokens = [(7919 * place + 1) % vocabulary for place in range(max(_LENGTHS))]
    try:
        with torch.inference_mode():
            expected = model(torch.tensor([tokens], device=model.device)).logits[0].float()
        seen = glimpse(model)
        runner = ModelRunner(model, blocks=max(len(_LENGTHS), -(-len(seen.prompt) // BLOCK_SIZE) if seen else 0))
        replace_modules(runner)
        for start in range(0, max(_LENGTHS), _CHUNK):
            pieces = [
                Piece(str(row), start, min(start + _CHUNK, length - 1), [row], is_last=False)
                for row, length in enumerate(_LENGTHS)
                if start < length - 1
            ]
            if pieces:
                runner.forward(pieces, [tokens[piece.start : piece.stop] for piece in pieces])
        decoding = [Piece(str(row), length - 1, length, [row], is_last=True) for row, length in enumerate(_LENGTHS)]
        logits = runner.forward(decoding, [tokens[piece.start : piece.stop] for piece in decoding])
        eyes = verified(seen, runner, _TOLERANCE[model.dtype])
        difference = (logits - torch.stack([expected[length - 1] for length in _LENGTHS])).abs().max()
    except ModelError:
        raise
    except Exception as error:  # an architecture may refuse in any way
        raise model_error(source, f"its architecture does not fit the batch engine ({error})") from error
    allowed = _TOLERANCE[model.dtype] * expected.abs().max()
    if not difference <= allowed:  # also when it is not a number
        raise model_error(source, f"its architecture does not fit the batch engine (logits differ by {difference:.3g})")
    return runner, eyes
