"""Ask a published model about pictures with transformers alone: what evaluation uses. Serving has an engine of its own.

A prompt is what serving makes of a first turn: the picture, the parser's list of objects if it is given, the question.
Answers are greedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration, LogitsProcessor

from vision.decoder import EYES_ADAPTER
from vision.reader import SceneReader
from vision.reasoning.guide import RESULTS_ONLY, Guide
from vision.reasoning.listing import listing
from vision.reasoning.tokens import ALL, IMAGE
from vision.reasoning.trace import thought_in
from vision.scenes.programs import Program
from vision.scenes.scene import SceneObject

_MOST_NEW_TOKENS = 320


@dataclass(frozen=True)
class Told:
    """What the model said: the sentence for people, and the program among its thoughts (None: it wrote none)."""

    sentence: str
    program: Program | None


class _Guided(LogitsProcessor):
    """A guide for each row."""

    def __init__(self, guides: Sequence[Guide], control: Mapping[str, int]) -> None:
        self._guides, self._control = guides, control
        self._names = {token_id: name for name, token_id in control.items()}
        self._results = [control[name] for name in RESULTS_ONLY]
        self._read = 0  # tokens that the guides were told

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """input_ids (B, written so far), scores (B, vocabulary)."""
        for row, guide in enumerate(self._guides):
            for token_id in input_ids[row, self._read :].tolist():
                guide.accept(self._names.get(token_id))
            if guide.forced is not None:
                scores[row] = float("-inf")
                scores[row, self._control[guide.forced]] = 0
            elif guide.is_thinking:
                scores[row, self._results] = float("-inf")
        self._read = input_ids.shape[1]
        return scores


class Viewer:
    """A model, its processor, and its scene parser if it has one."""

    def __init__(self, model: LlavaForConditionalGeneration, processor: Any, reader: SceneReader | None) -> None:
        self._model: Any = model
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._control: dict[str, int] = {name: self._tokenizer.convert_tokens_to_ids(name) for name in ALL}
        self._names = {token_id: name for name, token_id in self._control.items()}
        self.reader = reader

    @classmethod
    def from_folder(cls, folder: Path) -> Viewer:
        """In fp32. Raises: OSError, ValueError: it holds no LlavaForConditionalGeneration."""
        model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        if (folder / EYES_ADAPTER).is_dir():
            model.load_adapter(str(folder / EYES_ADAPTER))
        processor = AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]  # transformers
        model.requires_grad_(False)
        return cls(model, processor, SceneReader.from_folder(folder))

    def pixels(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """(B, 3, S, S) as the model's image processor makes them."""
        made: torch.Tensor = self._processor.image_processor(list(pictures), return_tensors="pt")["pixel_values"]
        return made

    def parse(self, pixels: torch.Tensor) -> list[list[SceneObject]]:
        """The objects of each picture; none without a parser."""
        if self.reader is None:
            return [[] for _ in pixels]
        return [[found.thing for found in one] for one in self.reader.read(pixels)]

    @torch.inference_mode()
    def answer(
        self,
        pixels: torch.Tensor,
        places: Sequence[int],
        questions: Sequence[str],
        evidence: Sequence[Sequence[SceneObject]] | None,
        is_guided: bool = False,
    ) -> list[Told]:
        """Each question about the picture at its place. `evidence`: what is listed of each, None for nothing; guided:
        what a thought comes to is the executor's finding in the evidence."""
        seen = self._model.get_image_features(pixel_values=pixels).pooler_output
        rows = []
        for place, question in zip(places, questions, strict=True):
            listed = ""
            if evidence is not None and self.reader is not None:
                listed = "".join(listing(evidence[place], self.reader.size))
            text = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": IMAGE * len(seen[place]) + listed + question}],
                add_generation_prompt=True,
                tokenize=False,
            )
            rows.append(self._tokenizer.encode(text, add_special_tokens=False))
        guides = [Guide(evidence[place]) for place in places] if is_guided and evidence is not None else []
        return [self._told(ids) for ids in self._generate(rows, places, seen, guides)]

    def _generate(
        self, rows: list[list[int]], places: Sequence[int], seen: Any, guides: Sequence[Guide]
    ) -> list[list[int]]:
        """Greedy answers, padded on the left."""
        length = max(map(len, rows))
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        mask = (torch.arange(length) >= torch.tensor([[length - len(row)] for row in rows])).long()
        inputs = self._model.get_input_embeddings()(ids)
        vectors = torch.cat([seen[place] for place in places])
        image = self._tokenizer.convert_tokens_to_ids(IMAGE)
        inputs = inputs.masked_scatter((ids == image)[..., None], vectors)
        generated = self._model.generate(
            inputs_embeds=inputs,
            attention_mask=mask,
            max_new_tokens=_MOST_NEW_TOKENS,
            do_sample=False,
            logits_processor=[_Guided(guides, self._control)] if guides else None,
        )
        return [
            row[: row.index(end)] if (end := self._tokenizer.eos_token_id) in row else row for row in generated.tolist()
        ]

    def _told(self, ids: list[int]) -> Told:
        program = thought_in([self._names.get(token_id) for token_id in ids])
        sentence = self._tokenizer.decode(ids, skip_special_tokens=True).strip()
        return Told(sentence, program)
