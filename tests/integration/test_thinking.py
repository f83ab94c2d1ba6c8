"""A model with a scene parser in the engine: it is told what is in a picture, and its thoughts keep to that."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from shared.chat import Message, PictureRef, Role
from shared.prompting import prompt_ids
from shared.settings import WorkerSettings
from tests.engine_runs import events_of, tokens_of
from tests.picture_lists import read_listing
from tests.tiny_reader import SIZE, save_tiny_reader
from vision.reader import SceneReader
from vision.reasoning.findings import Findings
from vision.reasoning.tokens import ALL, IMAGE
from vision.reasoning.trace import read_trace, trace
from vision.scenes.dataset import make_example
from vision.scenes.programs import Step
from workers.engine.base import Request
from workers.open_model import open_model
from workers.pictures import ShownPicture
from workers.served_model import ServedModel, no_evidence, no_thoughts
from workers.thinking import Thinking, thinking

SETTINGS = WorkerSettings(slots=4, device="cpu", dtype="float32", prefill_chunk=64, threads=1)
EXAMPLE = make_example(2, 0, "test", 128)
ASKED = (Step("all"), Step("filter", (0,), {"size": "large"}), Step("count", (1,)))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="module")
def model(directory: Path) -> ServedModel:
    return open_model(str(directory), "reader", SETTINGS)


async def _shown(model: ServedModel) -> ShownPicture:
    data = io.BytesIO()
    Image.fromarray(EXAMPLE.pixels).save(data, "PNG")
    assert model.eyes is not None
    return ShownPicture(PictureRef("picture", "0" * 64, 128, 128), await model.eyes.look("0" * 64, data.getvalue()))


def test_it_is_a_model_of_transformers_alone(directory: Path, tmp_path: Path) -> None:
    """Loaded, saved and loaded again: the same logits, to the last bit."""
    model = LlavaForConditionalGeneration.from_pretrained(directory)
    processor = AutoProcessor.from_pretrained(directory)  # type: ignore[no-untyped-call]  # transformers
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = LlavaForConditionalGeneration.from_pretrained(tmp_path)
    reread = AutoProcessor.from_pretrained(tmp_path)  # type: ignore[no-untyped-call]  # transformers
    picture = Image.fromarray(EXAMPLE.pixels)

    inputs = processor(images=[picture], text=f"{IMAGE}안녕하세요", return_tensors="pt")
    told = reread(images=[picture], text=f"{IMAGE}안녕하세요", return_tensors="pt")

    assert torch.equal(inputs["input_ids"], told["input_ids"])
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, again(**told).logits)


async def test_the_objects_of_a_picture_follow_it_in_the_prompt(model: ServedModel, directory: Path) -> None:
    shown = await _shown(model)
    findings = shown.looked.notes.findings
    reader = SceneReader.from_folder(directory)
    assert isinstance(findings, Findings)
    assert reader is not None

    listed = read_listing(model.tokenizer.convert_ids_to_tokens(list(shown.looked.notes.token_ids)))  # type: ignore[attr-defined]

    assert listed
    assert [thing.colour for thing in listed] == [thing.colour for thing in findings.objects]
    read = reader.read(torch.from_numpy(shown.looked.picture.pixels)[None])[0]
    assert tuple(found.thing for found in read) == findings.objects
    assert findings.size == SIZE


async def test_a_thought_comes_to_what_the_executor_finds(model: ServedModel) -> None:
    """The model is let on to a program's first step; what each step came to is the executor's."""
    shown = await _shown(model)
    findings = shown.looked.notes.findings
    assert isinstance(findings, Findings)
    control = {name: model.tokenizer.convert_tokens_to_ids(name) for name in ALL}  # type: ignore[attr-defined]
    thought = [control[name] for name in trace(ASKED, findings.objects)]
    begun = thought[: thought.index(control["<|is|>"]) + 1]
    results = thought[len(begun) : thought.index(control["<|count|>"])]
    assert model.eyes is not None
    prompt = prompt_ids([Message(Role.USER, "큰 물체가 몇 개 있나요?")], model.tokenizer)
    prompt = [prompt[0], *[model.eyes.facts.placeholder] * model.eyes.facts.tokens, *prompt[1:]]
    request = Request(
        "thinking",
        tuple(prompt),
        tuple(begun),
        seed=0,
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        max_new_tokens=len(begun) + len(results) + 1,
        pictures=(shown.looked.picture,),
    )

    guided = await events_of(model.engine, replace(request, grammar=model.thoughts([shown])))

    assert tokens_of(guided)[: len(results)] == results
    assert tokens_of(guided)[len(results)] not in results  # free again, but not to add to the result


async def test_evidence_marks_what_the_answer_rests_on(model: ServedModel) -> None:
    shown = await _shown(model)
    findings = shown.looked.notes.findings
    assert isinstance(findings, Findings)
    written = [model.tokenizer.convert_tokens_to_ids(name) for name in trace(ASKED, findings.objects)]  # type: ignore[attr-defined]

    evidence = model.evidence([shown], [*written, 200, 201, written[0]])

    assert evidence is not None
    (picture,) = evidence.pictures
    assert picture.picture_id == "picture"
    assert [o.number for o in picture.objects] == list(range(1, len(findings.objects) + 1))
    assert {o.number for o in picture.objects if o.used} == {t.id for t in findings.objects if t.size == "large"}
    assert all(0 <= edge <= 1 for o in picture.objects for edge in o.box)
    assert evidence.source == "program"
    assert read_trace(trace(ASKED, findings.objects)) is not None


async def test_an_answer_without_thoughts_has_no_evidence(model: ServedModel) -> None:
    shown = await _shown(model)

    assert model.evidence([shown], [200, 201]) is None
    assert model.evidence([], []) is None
    assert model.thoughts([]) is None


def test_a_model_without_the_tokens_does_not_think(model: ServedModel) -> None:
    assert Thinking.of(model.tokenizer, 10) is None
    blind = replace(model, eyes=None, thoughts=no_thoughts, evidence=no_evidence)
    assert thinking(blind, 10_000) is blind
