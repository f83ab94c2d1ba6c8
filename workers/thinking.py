"""Thoughts about pictures: what the executor puts into them, and what an answer that had some rests on.

It is about the last picture in the prompt, because that is what a person talks about. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.evidence import Evidence, EvidenceObject, PictureEvidence
from vision.reasoning.describing import object_name
from vision.reasoning.findings import Findings
from vision.reasoning.tokens import ALL
from vision.reasoning.trace import thought_in
from vision.scenes.programs import Program, ProgramError, execute
from vision.scenes.scene import SceneObject
from workers.engine.base import Grammar
from workers.engine.thought_grammar import ThoughtGrammar
from workers.pictures import ShownPicture
from workers.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class Thinking:
    """Of one model."""

    control: dict[str, int]  # token ids of the control tokens, by name
    vocabulary: int

    @classmethod
    def of(cls, tokenizer: Any, vocabulary: int) -> Thinking | None:
        """None: its tokenizer has not the tokens to think with."""
        known = tokenizer.get_vocab()
        if any(known.get(name, vocabulary) >= vocabulary for name in ALL):
            return None
        return cls({name: known[name] for name in ALL}, vocabulary)

    def grammar(self, pictures: Sequence[ShownPicture]) -> Grammar | None:
        """What thoughts about these pictures come to. None: nothing was read off them."""
        found = _last(pictures)
        return ThoughtGrammar(found[1].objects, self.control, self.vocabulary) if found else None

    def evidence(self, pictures: Sequence[ShownPicture], token_ids: Sequence[int]) -> Evidence | None:
        """The objects in the picture and which of them the answer rests on. None: it was no answer about a picture."""
        found = _last(pictures)
        if found is None:
            return None
        names = {token_id: name for name, token_id in self.control.items()}
        program = thought_in([names.get(token_id) for token_id in token_ids])
        if program is None:
            return None
        shown, findings = found
        used = _used(program, findings.objects)
        objects = tuple(_marked(thing, findings.size, thing.id in used) for thing in findings.objects)
        picture = PictureEvidence(picture_id=shown.ref.id, objects=objects)
        return Evidence(source="program", pictures=(picture,))


def thinking(model: ServedModel, vocabulary: int) -> ServedModel:
    """The same model, which thinks about pictures if it can."""
    able = Thinking.of(model.tokenizer, vocabulary) if model.eyes else None
    return replace(model, thoughts=able.grammar, evidence=able.evidence) if able else model


def _last(pictures: Sequence[ShownPicture]) -> tuple[ShownPicture, Findings] | None:
    if not pictures or not isinstance(findings := pictures[-1].looked.notes.findings, Findings):
        return None
    return pictures[-1], findings


def _used(program: Program, objects: Sequence[SceneObject]) -> set[int]:
    """Numbers of the objects that an answer rests on: a description rests on all."""
    try:
        return set(execute(program, objects).evidence)
    except ProgramError:
        return {thing.id for thing in objects} if [step.op for step in program] == ["all"] else set()


def _marked(thing: SceneObject, size: int, used: bool) -> EvidenceObject:
    left, top, right, bottom = (min(1.0, max(0.0, edge / size)) for edge in thing.box)
    return EvidenceObject(number=thing.id, box=(left, top, right, bottom), name=object_name(thing), used=used)
