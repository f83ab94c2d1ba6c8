"""Real parts joined by settings alone, with tiny ones: who learns what, what is published, and how a run goes on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlavaForConditionalGeneration, LlavaProcessor

from shared.chat import Message, PictureRef, Role
from shared.prompting import prompt_ids
from tests.tiny_models import save_tiny_encoder, save_tiny_model, tiny_tokenizer
from training.config import LlavaRecipe
from training.eyes_adapter import adapted_layers
from training.llava import last_checkpoint, run
from training.llava_parts import load_parts
from workers.engine.eyes import glimpse
from workers.engine.looking import open_looker

# peft 0.21 asks transformers 5.23 under names that it is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

COLOURS = {"빨간색": "red", "파란색": "blue", "초록색": "green"}
PROJECTOR = "model.multi_modal_projector."


def write_rows(folder: Path) -> None:
    (folder / "images").mkdir()
    rows: list[Any] = [{"id": "talk", "conversations": _turns("안녕", "반가워요.")}]
    for korean, colour in COLOURS.items():
        Image.new("RGB", (20, 30), colour).save(folder / "images" / f"{colour}.png")
        said = _turns("<image>\n무슨 색이에요?", f"{korean}이에요.", "정말요?", "네.")
        rows.append({"id": colour, "image": f"{colour}.png", "conversations": said})
    rows += [{"id": "gone", "image": "gone.png", "conversations": _turns("<image>", "가")}, "글"]
    (folder / "rows.json").write_text(json.dumps(rows))


def _turns(*values: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[number % 2], "value": value} for number, value in enumerate(values)]


def make_recipe(folder: Path, kind: str = "Siglip", family: str = "Llama", **stage: Any) -> LlavaRecipe:
    """Two steps a stage. GPT-NeoX comes as a base model, without a chat template."""
    if not (folder / "rows.json").exists():
        write_rows(folder)
        save_tiny_encoder(folder / "encoder", kind)
        save_tiny_model(folder / "language", family)
        if family == "GPTNeoX":
            (folder / "language" / "chat_template.jinja").unlink()
            tokenizer = copy.deepcopy(tiny_tokenizer())
            tokenizer.chat_template = None
            tokenizer.save_pretrained(folder / "language")
    both = {
        "data": folder / "rows.json",
        "images": folder / "images",
        "batch_size": 2,
        "learning_rate": 0.01,
        "warmup_share": 0,
        "log_steps": 1,
        "checkpoint_steps": 1,
    } | stage
    return LlavaRecipe.model_validate(
        {
            "name": "tiny",
            "seed": 7,
            "run_dir": folder / "run",
            "publish_dir": folder / "model",
            "encoder": folder / "encoder",
            "language_model": folder / "language",
            "dtype": "float32",
            "gradient_checkpointing": False,
            "loader_processes": 0,
            "describe": both,
            "answer": both | {"batch_size": 4 if family == "GPTNeoX" else 2},
            "lora": {"r": 2, "alpha": 4},
        }
    )


def learned_names(folder: Path) -> set[str]:
    """What the last checkpoint of a stage holds."""
    checkpoint = last_checkpoint(folder)
    assert checkpoint is not None
    with safe_open(checkpoint / "adapter_model.safetensors", "pt") as weights:
        return set(weights.keys())


@pytest.mark.parametrize("family", ["Llama", "GPTNeoX", "Qwen3"])
@pytest.mark.parametrize("kind", ["Siglip", "CLIP"])
def test_stages_learn_what_they_should_and_the_result_reloads_exactly(tmp_path: Path, kind: str, family: str) -> None:
    recipe = make_recipe(tmp_path, kind, family)
    before = {name: weights.clone() for name, weights in load_parts(recipe).model.state_dict().items()}

    assert run(recipe, "describe")
    assert run(recipe, "answer")

    assert all("multi_modal_projector" in name for name in learned_names(tmp_path / "run" / "describe"))
    projector = load_file(tmp_path / "run" / "describe" / "projector.safetensors")
    assert all(not torch.equal(weights, before[PROJECTOR + name]) for name, weights in projector.items())
    adapters = {name for name in learned_names(tmp_path / "run" / "answer") if "lora_" in name}
    assert adapters
    assert all(".language_model.layers." in name for name in adapters)

    model = LlavaForConditionalGeneration.from_pretrained(tmp_path / "model")
    changed = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    adapted = {f"{name}.weight" for name in adapted_layers(model, [])}
    assert changed == adapted | {PROJECTOR + name for name in projector}
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["reload_difference"] == 0
    assert manifest["data"]["refused"] == {"picture_missing": 1, "no_row": 1}
    assert manifest["describe"]["data"]["refused"] == {"picture_missing": 1, "no_row": 1, "no_picture": 1}
    assert manifest["steps"] == 2
    assert (tmp_path / "run" / "answer" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "model" / "config.json").read_text()).get("use_cache") is not False


def test_published_folder_is_what_serving_and_plain_transformers_open(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    run(recipe, "describe")
    run(recipe, "answer")

    tokenizer: Any = AutoTokenizer.from_pretrained(recipe.publish_dir)
    model: Any = LlavaForConditionalGeneration.from_pretrained(recipe.publish_dir)
    model.eval()
    seen = glimpse(model)
    assert seen is not None
    assert open_looker(recipe.publish_dir, seen.facts, tokenizer) is not None

    processor: Any = LlavaProcessor.from_pretrained(recipe.publish_dir)
    parts = [{"type": "image"}, {"type": "text", "text": "무슨 색이에요?"}]
    text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    picture = Image.new("RGB", (20, 30), "red")
    asked = processor(images=picture, text=text, return_tensors="pt")
    served = prompt_ids(
        [Message(Role.USER, "무슨 색이에요?", (PictureRef("", "", 0, 0),))], tokenizer, recipe.image_token
    )
    shown = [
        each
        for token_id in served
        for each in ([token_id] * seen.facts.tokens if token_id == seen.facts.placeholder else [token_id])
    ]
    assert asked["input_ids"][0].tolist() == shown
    answer = model.generate(**asked, max_new_tokens=3, do_sample=False)
    assert answer.shape[1] > len(shown)


def test_half_precision_with_recomputed_gradients_is_published_as_such(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path).model_copy(update={"dtype": "bfloat16", "gradient_checkpointing": True})

    assert run(recipe, "describe")
    assert run(recipe, "answer")

    model = LlavaForConditionalGeneration.from_pretrained(recipe.publish_dir)
    assert {weights.dtype for weights in model.parameters()} == {torch.bfloat16}
    projector = load_file(tmp_path / "run" / "describe" / "projector.safetensors")
    assert {weights.dtype for weights in projector.values()} == {torch.float32}


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    for name in ("whole", "pieces"):
        (tmp_path / name).mkdir()
    whole, pieces = make_recipe(tmp_path / "whole"), make_recipe(tmp_path / "pieces")

    assert run(whole, "describe")
    assert not run(pieces, "describe", minutes=0)
    assert run(pieces, "describe")

    told = (tmp_path / "pieces" / "run" / "describe" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in told] == [1, 2]
    one, other = (
        load_file(tmp_path / name / "run" / "describe" / "projector.safetensors") for name in ("whole", "pieces")
    )
    for name, weights in one.items():
        assert torch.equal(weights, other[name]), name


def test_other_settings_do_not_go_on_from_old_checkpoints(tmp_path: Path) -> None:
    run(make_recipe(tmp_path), "describe")

    with pytest.raises(ValueError, match=r"begun with other settings \(stage\)"):
        run(make_recipe(tmp_path, learning_rate=0.02), "describe")


def test_answering_comes_after_describing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the stage describe comes first"):
        run(make_recipe(tmp_path), "answer")


def test_data_without_a_good_row_stop_the_run_with_the_reasons(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, max_tokens=2)

    with pytest.raises(ValueError, match=r"'too_long': 3"):
        run(recipe, "describe")

    quarantined = (tmp_path / "run" / "describe" / "quarantine.jsonl").read_text().splitlines()
    assert {json.loads(line)["reason"] for line in quarantined} == {
        "too_long",
        "picture_missing",
        "no_row",
        "no_picture",
    }


def test_only_named_layers_of_the_language_model_are_adapted(tmp_path: Path) -> None:
    model = load_parts(make_recipe(tmp_path)).model

    names = adapted_layers(model, ["q_proj"])

    assert names == [f"model.language_model.layers.{layer}.self_attn.q_proj" for layer in range(3)]
    with pytest.raises(ValueError, match="no layer is called query; there are down_proj"):
        adapted_layers(model, ["query"])


def test_an_encoder_of_another_kind_is_refused(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)

    with pytest.raises(ValueError, match="an encoder of kind 'llama'"):
        load_parts(recipe.model_copy(update={"encoder": recipe.language_model}))
