"""Questions about one scene: one of each family, answered by the executor and balanced by what is drawn.

Balance is made here, scene by scene, without looking at other scenes: of two neighbouring scenes one gets a yes and
the other a no (or: can be told, cannot be told) in each family, and numbers are looked for, not taken as they come.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vision.scenes.answers import sentence
from vision.scenes.drafts import FAMILIES, Draft, Draw
from vision.scenes.programs import Outcome, Program, Step, execute
from vision.scenes.references import Described, hops, names_held_out_pair
from vision.scenes.scene import Scene, SceneObject
from vision.scenes.vocabulary import HELD_OUT_PAIRS, is_held_out
from vision.scenes.wording import Pool, Wording, fill

_KINDS_TRIED = 4
_TRIES_PER_KIND = 60
_TRIES_PER_COUNT = 15
_COUNTS = (0, 1, 1, 2, 2, 3, 3, 4, 5)  # looked for in turn, so that small numbers do not win


@dataclass(frozen=True)
class Question:
    """A row of `questions.jsonl`; its fields are fixed by `question.schema.json`."""

    id: str
    scene: str  # id of the scene
    picture: str  # path beside questions.jsonl
    family: str
    hops: int  # objects one has to go by, 0..3
    question: str
    answer: str  # a short word
    sentence: str  # the answer as a polite sentence
    program: Program
    template: str  # ids of the templates it was put together from, joined by +
    split: str
    evidence: tuple[int, ...]  # ids of the objects the answer rests on

    def to_json(self) -> dict[str, Any]:
        """The row."""
        return {**asdict(self), "program": [step.to_json() for step in self.program]}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Question:
        """Read a row back. Raises: KeyError, TypeError: not a row of this schema."""
        program = tuple(Step.from_json(step) for step in row["program"])
        return cls(**{**row, "program": program, "evidence": tuple(row["evidence"])})


def ask(scene: Scene, rng: random.Random, pool: Pool) -> list[Question]:
    """One question of each family, or none of a family for which this scene has no fitting one."""
    compositional = scene.split == "compositional"
    questions = []
    for family in FAMILIES:
        wanted = _wanted(scene, family)
        drawn = _draw(family, scene.objects, rng, wanted, compositional)
        if drawn is None:
            continue
        draft, program, outcome = drawn
        words = Wording(rng, pool)
        spoken, text = _put(draft, words)
        questions.append(
            Question(
                id=f"{scene.id}-{family}",
                scene=scene.id,
                picture=scene.picture,
                family=family,
                hops=hops(*draft.slots.values()),
                question=text,
                answer=outcome.answer,
                sentence=sentence(draft, outcome, spoken, words),
                program=program,
                template="+".join(words.used),
                split=scene.split,
                evidence=outcome.evidence,
            )
        )
    return questions


def _wanted(scene: Scene, family: str) -> bool:
    """Opposite for neighbouring scenes 2k and 2k + 1; which of them comes first is a matter of chance."""
    pair = random.Random(f"wanted:{scene.seed}:{scene.split}:{scene.index // 2}:{family}")
    return (pair.random() < 0.5) != bool(scene.index % 2)


def _draw(
    family: str, objects: Sequence[SceneObject], rng: random.Random, wanted: bool, compositional: bool
) -> tuple[Draft, Program, Outcome] | None:
    """Draft until one has the wanted answer. None: none did."""
    draw = Draw(objects, rng, wanted)
    make, kinds = FAMILIES[family]
    for attempt in range(_TRIES_PER_KIND * _KINDS_TRIED):
        if attempt % _TRIES_PER_KIND == 0:
            kind = rng.choice(kinds)  # kept for many tries: else kinds that are easily answered yes get every yes
        if attempt % _TRIES_PER_COUNT == 0:
            number = rng.choice(_COUNTS)
        draft = make(draw, kind)
        if draft is None or (not compositional and _names_held_out(draft)):
            continue
        program = draft.builder.program()
        outcome = execute(program, objects)
        if (
            _is_wanted(family, outcome, wanted, number)
            and _hangs_on_which(program, outcome, objects)
            and (not compositional or _touches_held_out(draft, outcome, objects))
        ):
            return draft, program, outcome
    return None


def _is_wanted(family: str, outcome: Outcome, wanted: bool, number: int) -> bool:
    if family == "unanswerable":
        return (outcome.reason is not None) == wanted
    if outcome.reason is not None:
        return False
    if isinstance(outcome.value, bool):
        return outcome.value == wanted
    return not isinstance(outcome.value, int) or outcome.value == number


def _hangs_on_which(program: Program, outcome: Outcome, objects: Sequence[SceneObject]) -> bool:
    """A question with several objects to choose from is fair only if the choice changes its answer."""
    if outcome.reason != "ambiguous" or outcome.failed_step is None:
        return True
    step = outcome.failed_step
    return len({execute(program, objects, {step: one}).answer for one in outcome.found}) > 1


def _names_held_out(draft: Draft) -> bool:
    if any(names_held_out_pair(reference) for reference in draft.slots.values()):
        return True
    subject = draft.slots["a"]
    if draft.value is None or draft.attribute is None or not isinstance(subject, Described):
        return False
    return is_held_out({**subject.where, draft.attribute: draft.value})


def _touches_held_out(draft: Draft, outcome: Outcome, objects: Sequence[SceneObject]) -> bool:
    """Whether the question names a held-out pair, or its answer rests on an object that has one."""
    rests_on = any((o.colour, o.shape) in HELD_OUT_PAIRS for o in objects if o.id in outcome.evidence)
    return rests_on or _names_held_out(draft)


def _put(draft: Draft, words: Wording) -> tuple[dict[str, str], str]:
    """Say the question: what each slot was called, and the whole text."""
    spoken = {name: reference.say(words) for name, reference in draft.slots.items()}
    if draft.attribute is not None:
        spoken["attr"] = words.attribute(draft.attribute)
    if draft.side is not None:
        spoken["side"] = words.side(draft.side)
    if draft.value is not None:
        spoken["v"] = words.nouns.name(draft.value)
    return spoken, words.opened(fill(words.template(draft.group), spoken))
