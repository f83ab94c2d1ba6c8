"""From a kept picture's bytes to what a model with eyes is shown, by the image processor that lies in its directory.

Pillow decodes and resizes: torchvision, which rounds otherwise, is never asked. Knows no store.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

from shared.errors import GenerationCrashed, NunmalError, PictureGone, PicturesUnsupported
from shared.telemetry import fields
from workers.engine.base import Looked, Picture, PictureNotes
from workers.engine.describing import Describer
from workers.engine.engine_messages import Answer, Look
from workers.engine.facts import PictureFacts

log = logging.getLogger(__name__)

Describe = Callable[[Picture], PictureNotes]


def say_nothing(picture: Picture) -> PictureNotes:
    """Of a model that is shown pictures and no words about them."""
    return PictureNotes()


@dataclass(frozen=True, slots=True)
class Looker:
    """`describe` is called in the caller's thread, once for each picture that is looked at."""

    processor: Any  # a Hugging Face image processor
    facts: PictureFacts
    describe: Describe = say_nothing

    def look(self, sha256: str, data: bytes) -> Looked:
        """Takes tens of milliseconds: call it in a thread. Raises PictureGone: no picture that we would keep."""
        try:
            with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as opened:
                image = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise PictureGone from error
        prepared = self.processor(images=[image], return_tensors="np")["pixel_values"][0]
        picture = Picture(sha256, np.ascontiguousarray(prepared, np.float32))
        return Looked(picture, self.describe(picture))


def answer_to(looker: Looker | None, message: Look) -> Answer:
    """What an engine says to it."""
    if looker is None:
        return PicturesUnsupported()
    try:
        return looker.look(message.sha256, message.data)
    except NunmalError as error:
        return error
    except Exception:  # this picture fails, the engine lives
        log.exception("look_crashed")
        return GenerationCrashed()


def open_looker(directory: Path, facts: PictureFacts | None, tokenizer: Any) -> Looker | None:
    """None: the model has no eyes, or its directory does not tell how pictures are prepared for them."""
    if facts is None:
        return None
    try:
        processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]  # transformers
            directory, backend="pil", local_files_only=True, trust_remote_code=False
        )
        looker = Looker(processor, facts, Describer.open(directory, tokenizer) or say_nothing)
        blank = io.BytesIO()
        Image.new("RGB", (facts.width + 9, facts.height)).save(blank, "PNG")
        shape = looker.look("", blank.getvalue()).picture.pixels.shape
    except Exception as error:  # another family's processor
        log.warning("eyes_unused", extra=fields(reason=str(error)))
        return None
    token = tokenizer.convert_ids_to_tokens(facts.placeholder)
    if shape != (3, facts.height, facts.width) or tokenizer.encode(token, add_special_tokens=False) != [
        facts.placeholder
    ]:
        log.warning("eyes_unused", extra=fields(reason=f"pictures of {shape}, placeholder {token!r}"))
        return None
    return looker
