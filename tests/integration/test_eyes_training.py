"""Scenes, a parser and a language model become a model with eyes, stage by stage; all of it tiny."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoTokenizer, LlavaForConditionalGeneration

from shared.settings import WorkerSettings
from training import align, export_eyes, loop, scene_parser
from training.beginnings import begin_parser
from training.config import AlignRecipe, LoraShape, ModelShape, ParserRecipe, load_recipe
from training.conversations import BOS, END, PAD, ConversationEncoder, token_id
from training.data.templates import TEMPLATE_DIR
from training.export import MANIFEST, digest
from training.eyes_adapter import learn_adapter_alone, ordinary_tokens
from training.patches import load_parser, patches_of
from training.scene_rows import Row, SceneEncoder, pack
from training.tokenizer import train_tokenizer
from vision.decoder import EYES_ADAPTER, open_language_model
from vision.pixels import normalised, read_pixels
from vision.reader import SceneReader
from vision.scenes.dataset import examples, read_scenes, write
from workers.open_model import open_model

OPTIMIZER = {"muon_lr": 0.01, "adam_lr": 0.01, "warmup_steps": 1}
SCENES = 5  # of each folder
PARSER_STEPS = 3
STAGES: list[dict[str, Any]] = [
    {"name": "reason", "pictures": False, "learns": ["language"]},
    {"name": "describe", "after": "reason", "pictures": True, "learns": ["projector"], "conversation_share": 0.0},
    {"name": "answer", "after": "describe", "pictures": True, "learns": ["language", "projector"]},
]


def _save(path: Path, recipe: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def _language_model(folder: Path) -> Path:
    tokenizer = train_tokenizer(iter(["빨간 공이 있나요? 네, 빨간 공이 있습니다."] * 5), vocab_size=300)
    shape = ModelShape(vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    torch.manual_seed(0)
    loop.build_model(shape, *(token_id(tokenizer, t) for t in (PAD, BOS, END))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / MANIFEST).write_text('{"name": "tiny"}', encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes, a language model, a parser with a checkpoint, and the recipe eyes.yaml."""
    house = tmp_path_factory.mktemp("eyes")
    scenes = [house / "scenes-1", house / "scenes-2"]
    for seed, folder in enumerate(scenes):
        for _ in write(folder, examples(seed, SCENES, "train", 96)):
            pass
    encoder = {"image_size": 96, "patch_size": 12, "hidden_size": 16, "intermediate_size": 32}
    parser = {
        "name": "tiny-parser",
        "seed": 1,
        "run_dir": str(house / "parser"),
        "scenes": [str(folder) for folder in scenes],
        "encoder": encoder | {"num_hidden_layers": 1, "num_attention_heads": 2},
        "optimizer": OPTIMIZER,
        "pictures_per_step": 4,
    }
    recipe = load_recipe(_save(house / "parser.yaml", parser), ParserRecipe)
    torch.manual_seed(1)
    loop.save_checkpoint(
        recipe.run_dir / "checkpoint.pt", scene_parser.build_parser(recipe), [], loop.Progress(step=PARSER_STEPS)
    )
    only = {path.stem: float(path.stem == "manners") for path in TEMPLATE_DIR.glob("*.yaml")}
    chat: dict[str, Any] = {"base_recipe": "none", "tokenizer_dir": "none", "run_dir": "none", "publish_dir": "none"}
    chat |= {"name": "tiny-chat", "seed": 2, "optimizer": OPTIMIZER, "sources": {}, "template_weights": only}
    eyes = {
        "name": "tiny-eyes",
        "seed": 3,
        "run_dir": str(house / "align"),
        "language_model": str(_language_model(house / "language")),
        "parser": str(house / "parser.yaml"),
        "scenes": parser["scenes"],
        "conversations": str(_save(house / "chat.yaml", chat)),
        "stages": [stage | {"optimizer": OPTIMIZER} for stage in STAGES],
        "scenes_per_epoch": 2 * SCENES,
        "tokens_per_batch": 2048,
    }
    _save(house / "eyes.yaml", eyes)
    return house


@pytest.fixture(scope="module")
def recipe(house: Path) -> AlignRecipe:
    return load_recipe(house / "eyes.yaml", AlignRecipe)


@pytest.fixture(scope="module")
def tokenizer(recipe: AlignRecipe) -> Any:
    return align.seeing_tokenizer(recipe)


def _batches(recipe: AlignRecipe, tokenizer: Any, stage: str, share: float) -> align.AlignBatches:
    chosen = recipe.stage(stage).model_copy(update={"conversation_share": share})
    encoder = SceneEncoder(tokenizer, load_recipe(recipe.parser, ParserRecipe).encoder.grid ** 2)
    asked = align.all_asked(recipe, chosen)
    return align.AlignBatches(recipe, chosen, asked, encoder, ConversationEncoder(tokenizer), {})


def _first_epoch(batches: align.AlignBatches) -> list[Row]:
    rows = list(batches.next())
    while True:
        batch = batches.next()
        if batches.cursor()["epoch"]:
            return rows
        rows += batch


@pytest.mark.parametrize("share", [0.0, 0.15, 0.9])
def test_a_stage_talks_as_much_as_its_share_says(recipe: AlignRecipe, tokenizer: Any, share: float) -> None:
    """Also where that takes more conversations than there are."""
    rows = _first_epoch(_batches(recipe, tokenizer, "answer", share))

    plain = sum(len(row) for row in rows if not row.branches and row.picture is None)
    assert plain / sum(map(len, rows)) == pytest.approx(share, abs=0.05)
    assert sorted(row.picture for row in rows if row.picture is not None) == list(range(2 * SCENES))


@pytest.mark.parametrize("stage", [stage["name"] for stage in STAGES])
def test_the_projector_learns_where_pictures_are_shown(recipe: AlignRecipe, tokenizer: Any, stage: str) -> None:
    chosen = recipe.stage(stage)
    speaker = align.build_speaker(recipe, tokenizer)
    batch = _batches(recipe, tokenizer, stage, 0.0).next()

    loss: Any = speaker.loss(batch, 0, patches_of(recipe) if chosen.pictures else None)
    loss.backward()

    assert bool(pack(batch, 0).pictures) == chosen.pictures
    assert all((weights.grad is not None) == chosen.pictures for weights in speaker.projector.parameters())
    assert all(weights.grad is not None for weights in speaker.language.parameters())


def _command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])


def test_rows_are_shown_with_what_is_learned_in_green(
    house: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command(monkeypatch, house / "eyes.yaml", "--stage", "answer", "--data-dir", house, "--show")
    before = sorted(house.rglob("*"))

    align.main()

    said = capsys.readouterr().out
    assert "\x1b[32m" in said and "\x1b[90m" in said
    assert "stopped" not in said
    assert sorted(house.rglob("*")) == before


def test_every_stage_is_published_with_the_weights_it_left(
    house: Path, recipe: AlignRecipe, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: dict[str, align.Speaker] = {}
    for number, stage in enumerate(recipe.stages, 1):
        _command(monkeypatch, house / "eyes.yaml", "--stage", stage.name, "--data-dir", house, "--minutes", 0)
        align.main()
        speaker = left[stage.name] = align.build_speaker(recipe, tokenizer)
        path = export_eyes.checkpoint(recipe, stage.name)
        progress = loop.load_checkpoint(path, speaker)
        with torch.no_grad():
            for weights in speaker.parameters():
                weights.add_(number)  # as if it had learned
        progress.step = number
        loop.save_checkpoint(path, speaker, [], progress)
    chosen = (("describe", 2), ("reason", 1), (None, 3))

    for name, count in chosen:
        _command(monkeypatch, house / "eyes.yaml", *(["--stage", name] if name else []), "--out", house / "out")
        export_eyes.main()

        names = [stage.name for stage in recipe.stages[:count]]
        facts = json.loads((house / "out" / MANIFEST).read_text(encoding="utf-8"))
        assert facts["steps"] == dict(zip(names, range(1, count + 1), strict=True)) | {"parser": PARSER_STEPS}
        assert facts["digest"] == digest(house / "out")
        _is_what_was_left(house / "out", left[names[-1]])


def _is_what_was_left(folder: Path, speaker: align.Speaker) -> None:
    """The published folder has the stage's weights in bf16, a reader, and what serving opens pictures with."""
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16)
    language, projector = model.model.language_model, model.model.multi_modal_projector
    for published, module in ((language, speaker.language.model), (projector, speaker.projector)):
        found = published.state_dict()
        assert found.keys() == module.state_dict().keys()
        assert all(torch.equal(found[name], each.bfloat16()) for name, each in module.state_dict().items())
    reader = SceneReader.from_folder(folder)
    assert reader is not None
    assert reader.size == 96
    assert (folder / "preprocessor_config.json").exists()


def test_the_last_stage_with_a_checkpoint_is_published_unless_another_is_named(
    recipe: AlignRecipe, tmp_path: Path
) -> None:
    empty = recipe.model_copy(update={"run_dir": tmp_path})
    with pytest.raises(ValueError, match="no checkpoint of any stage"):
        export_eyes.chosen_stages(empty, None)
    for name in ("reason", "describe"):
        (tmp_path / name).mkdir()
        export_eyes.checkpoint(empty, name).touch()

    assert export_eyes.chosen_stages(empty, None) == ["reason", "describe"]
    assert export_eyes.chosen_stages(empty, "reason") == ["reason"]
    with pytest.raises(ValueError, match="no checkpoint of answer"):
        export_eyes.chosen_stages(empty, "answer")
    with pytest.raises(ValueError, match="no stage 'resaon'; there are reason, describe, answer"):
        export_eyes.chosen_stages(empty, "resaon")


def test_the_parser_sees_every_picture_of_an_epoch_once_and_goes_on_from_a_cursor(house: Path) -> None:
    recipe = load_recipe(house / "parser.yaml", ParserRecipe)
    whole, again = scene_parser.SceneBatches(recipe), scene_parser.SceneBatches(recipe)

    first, second = whole.next(), whole.next()
    again.seek({"epoch": 0, "place": 4})

    assert again.next().pixels.tobytes() == second.pixels.tobytes()
    assert first.pixels.shape == (4, 96, 96, 3)
    assert whole.cursor() == {"epoch": 0, "place": 8}
    whole.next()
    assert whole.cursor() == {"epoch": 1, "place": 4}  # two pictures were too few for a step


@torch.inference_mode()
def test_patches_are_those_of_the_pictures_in_order(recipe: AlignRecipe) -> None:
    parser = load_parser(load_recipe(recipe.parser, ParserRecipe))
    paths = [folder / scene.picture for folder in recipe.scenes for scene in read_scenes(folder)]

    patches = patches_of(recipe)

    assert len(paths) == 2 * SCENES
    with torch.autocast("cpu", torch.bfloat16):
        seen = parser.patches(normalised(read_pixels(paths, 96)))
    np.testing.assert_allclose(patches, seen.float().numpy(), atol=1e-2)


@pytest.fixture
def adapted(recipe: AlignRecipe, tmp_path: Path) -> AlignRecipe:
    """The recipe with an adapter instead of the language model's own weights, in a run of its own."""
    return recipe.model_copy(update={"lora": LoraShape(r=4, alpha=4, dropout=0.0), "run_dir": tmp_path / "adapted"})


def test_beside_an_adapter_no_weight_and_no_row_of_the_language_model_is_learned(
    adapted: AlignRecipe, tokenizer: Any
) -> None:
    """Ordinary rows stand in every batch; only those of the new tokens move, and of those that are named."""
    speaker: Any = align.build_speaker(adapted, tokenizer)
    ordinary = len(AutoTokenizer.from_pretrained(adapted.language_model))
    before = {name: value.clone() for name, value in speaker.language.state_dict().items()}
    untaught = [7, ordinary - 1]
    learn_adapter_alone(speaker.language, ordinary, untaught)
    optimizers = loop.build_optimizers(speaker, adapted.stages[0].optimizer)
    batches = _batches(adapted, tokenizer, "reason", 0.15)

    for _ in range(3):
        speaker.loss(batches.next(), 0, None).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    after = speaker.language.state_dict()
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    rows = {name for name in moved if name.endswith(("embed_tokens.weight", "lm_head.weight"))}
    assert moved - rows == {name for name in before if "lora_" in name}
    for name in rows:
        changed = (after[name] != before[name]).any(1)
        assert changed[untaught].all() and changed[:ordinary].sum() == len(untaught)
    assert rows


@torch.inference_mode()
def test_what_was_learned_beside_the_language_model_is_published_beside_it(
    adapted: AlignRecipe, tokenizer: Any, tmp_path: Path
) -> None:
    """PEFT opens it in plain transformers; without it the model talks as the one it was made of."""
    speaker: Any = align.build_speaker(adapted, tokenizer)
    for name, weights in speaker.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=0.4)
    loop.save_checkpoint(export_eyes.checkpoint(adapted, "reason"), speaker, [], loop.Progress(step=1))
    export_eyes.write(adapted, ["reason"], tmp_path / "model")

    model: Any = LlavaForConditionalGeneration.from_pretrained(tmp_path / "model", dtype=torch.float32)
    ids = torch.tensor([[1, 20, 30, 40]])
    plain: Any = open_language_model(adapted.language_model)
    ordinary = plain.config.vocab_size
    torch.testing.assert_close(model(ids).logits[..., :ordinary], plain(ids).logits, atol=0.02, rtol=0.02)  # bfloat16
    model.load_adapter(str(tmp_path / "model" / EYES_ADAPTER))
    said = model(ids).logits
    torch.testing.assert_close(said, speaker.language(ids).logits, atol=0.02, rtol=0.02)
    assert (said[..., :ordinary] - plain(ids).logits).abs().max() > 0.2


async def test_a_published_adapter_serves_where_pictures_are(
    adapted: AlignRecipe, tokenizer: Any, tmp_path: Path
) -> None:
    speaker: Any = align.build_speaker(adapted, tokenizer)
    loop.save_checkpoint(export_eyes.checkpoint(adapted, "reason"), speaker, [], loop.Progress(step=1))
    facts = export_eyes.write(adapted, ["reason"], tmp_path / "model")

    served = open_model(str(tmp_path / "model"), "tiny", WorkerSettings(device="cpu", dtype="float32", threads=1))
    await served.engine.close()

    assert f"{EYES_ADAPTER}/adapter_model.safetensors" in facts["files"]
    assert served.eyes is not None


def _moved(recipe: AlignRecipe, tokenizer: Any) -> Any:
    """A speaker none of whose learned weights are as they began."""
    speaker: Any = align.build_speaker(recipe, tokenizer)
    with torch.no_grad():
        for name, weights in speaker.named_parameters():
            if "language" not in name or "lora_" in name or recipe.lora is None:
                weights.add_(torch.randn_like(weights) / 4)
    return speaker


@pytest.mark.parametrize("kind", ["recipe", "adapted"])
def test_a_training_goes_on_from_what_was_published(
    kind: str, tokenizer: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    recipe: AlignRecipe = request.getfixturevalue(kind)
    learned = _moved(recipe, tokenizer)
    rows = learned.language.get_input_embeddings().weight
    with torch.no_grad():
        rows[-5:] += 1  # of control tokens
    loop.save_checkpoint(export_eyes.checkpoint(recipe, "answer"), learned, [], loop.Progress(9, 5000, 90.0))
    export_eyes.write(recipe, ["answer"], tmp_path / "model")
    stage = recipe.stage("answer").model_copy(update={"begun": tmp_path / "model"})
    speaker: Any = align.build_speaker(recipe, tokenizer)
    parser = scene_parser.build_parser(load_recipe(recipe.parser, ParserRecipe))

    spent = align.begin_stage(recipe, stage, speaker)
    begin_parser(tmp_path / "model", parser)

    assert spent == loop.Progress(0, 5000, 90)  # steps are counted anew, so the rate warms up
    assert speaker.language.get_output_embeddings().weight is speaker.language.get_input_embeddings().weight
    found, wanted = speaker.state_dict(), learned.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name].bfloat16(), wanted[name].bfloat16()) for name in wanted)
    known = load_parser(load_recipe(recipe.parser, ParserRecipe)).state_dict()
    assert all(torch.equal(each.bfloat16(), known[name].bfloat16()) for name, each in parser.state_dict().items())


def test_a_model_with_eyes_that_learns_again_keeps_its_tokens_and_its_past(
    adapted: AlignRecipe, tokenizer: Any, tmp_path: Path
) -> None:
    """Its tokenizer has the control tokens already: they are still no ordinary ones."""
    ordinary = len(AutoTokenizer.from_pretrained(adapted.language_model))
    speaker = align.build_speaker(adapted, tokenizer)
    loop.save_checkpoint(export_eyes.checkpoint(adapted, "describe"), speaker, [], loop.Progress(4, 40, 60.0))
    first = export_eyes.write(adapted, ["describe"], tmp_path / "model")
    again = adapted.model_copy(update={"language_model": tmp_path / "model"})
    loop.save_checkpoint(export_eyes.checkpoint(again, "answer"), speaker, [], loop.Progress(5, 50, 60.0))

    facts = export_eyes.write(again, ["answer"], tmp_path / "again")

    assert ordinary_tokens(tmp_path / "again") == ordinary_tokens(tmp_path / "model") == ordinary
    assert facts["tokens_seen"] == {**first["tokens_seen"], "answer": 50}
    assert facts["language_model"] == first["language_model"]


def test_what_learned_with_other_layers_is_refused(
    recipe: AlignRecipe, adapted: AlignRecipe, tokenizer: Any, tmp_path: Path
) -> None:
    loop.save_checkpoint(
        export_eyes.checkpoint(adapted, "answer"), align.build_speaker(adapted, tokenizer), [], loop.Progress()
    )
    export_eyes.write(adapted, ["answer"], tmp_path / "model")
    stage = recipe.stage("answer").model_copy(update={"begun": tmp_path / "model"})

    with pytest.raises(RuntimeError, match="other layers"):
        align.begin_stage(recipe, stage, align.build_speaker(recipe, tokenizer))
