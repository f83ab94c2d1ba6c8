"""Fine-tuning of tiny models from recipe to result, by TRL and PEFT, and what workers say of the result."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from infra.cli import run as nunmal
from shared.adapters.base import BaseDescription, LinearShape
from shared.errors import ConfigError
from shared.model_digest import files_digest, served_digest
from tests.tiny_models import (
    VOCABULARY,
    save_tiny_model_with_eyes,
    tiny_model,
    tiny_model_with_eyes,
    tiny_tokenizer,
)
from tests.tune_runs import ATTENTION, stage, tiny_recipe
from vision.decoder import decoder_linears
from workers.engine.adapters.adapter_files import read_adapter
from workers.engine.model_loader import load

pytest.importorskip("trl")
from training.tune import bases
from training.tune.measure import logit_error
from training.tune.run import run
from training.tune.sweep import sweep

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # peft and trl, of newer names
]

LORA = {"kind": "lora", "r": 4, "alpha": 8, **ATTENTION}
METHODS: dict[str, tuple[dict[str, Any], str]] = {
    "lora": (LORA, "none"),
    "query-only": (LORA | {"target_modules": ["q_proj"]}, "none"),
    "dora": (LORA | {"kind": "dora"}, "none"),
    "qlora-nf4": (LORA | {"kind": "qlora"}, "nf4"),
    "qlora-int8": (LORA | {"kind": "qlora", "quantisation": "int8"}, "int8"),
    "loftq": (LORA | {"kind": "loftq"}, "nf4"),
}


def base_of(model: Any, digest: str, numerics: str) -> BaseDescription:
    """What a worker with this model tells of it."""
    linears = {
        name: LinearShape(module.in_features, module.out_features) for name, module in decoder_linears(model).items()
    }
    return BaseDescription(digest, numerics, linears)


def trained(recipe: Any, tmp_path: Path, **limits: Any) -> dict[str, Any]:
    summary = run(recipe, tmp_path, **limits)
    assert summary is not None
    return summary


@pytest.mark.parametrize("kind", METHODS)
def test_what_a_method_learns_is_what_workers_load(kind: str, tmp_path: Path) -> None:
    method, numerics = METHODS[kind]
    recipe = tiny_recipe(tmp_path, method)

    summary = trained(recipe, tmp_path)

    digest = served_digest(files_digest(recipe.base), numerics)
    adapter = read_adapter("tiny", Path(summary["result"]), base_of(tiny_model(), digest, numerics))
    assert len(adapter.layers) == 3 * len(method["target_modules"])
    assert adapter.manifest.method == ("dora" if kind == "dora" else "lora")
    assert all(layer.b.any() for layer in adapter.layers.values())  # B begins at 0, but for loftq


@pytest.mark.parametrize("kind", METHODS)
def test_a_base_with_eyes_learns_to_speak_otherwise_and_sees_as_before(kind: str, tmp_path: Path) -> None:
    method, numerics = METHODS[kind]
    recipe = tiny_recipe(tmp_path, method, base=save_tiny_model_with_eyes(tmp_path / "base"))

    summary = trained(recipe, tmp_path)

    base = base_of(tiny_model_with_eyes(), served_digest(files_digest(recipe.base), numerics), numerics)
    adapter = read_adapter("tiny", Path(summary["result"]), base)
    assert len(adapter.layers) == 3 * len(method["target_modules"])
    assert all(name.startswith("model.language_model.layers.") for name in adapter.layers)


def test_a_base_with_eyes_that_is_trained_whole_keeps_them(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, {"kind": "full"}, base=save_tiny_model_with_eyes(tmp_path / "base"))

    result = Path(trained(recipe, tmp_path)["result"])

    before, after = (load_file(folder / "model.safetensors") for folder in (recipe.base, result))
    moved = {name for name in before if (before[name] != after[name]).any()}
    assert moved and all("vision_tower" not in name and "projector" not in name for name in moved)
    loaded = load(str(result), device="cpu", dtype="float32", max_new_tokens=8)
    assert loaded.looker is not None


def test_full_training_gives_a_model_with_its_manifest(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, {"kind": "full"})

    result = Path(trained(recipe, tmp_path)["result"])

    manifest = json.loads((result / "manifest.json").read_text())
    assert manifest["digest"] == files_digest(result) != files_digest(recipe.base) == manifest["base_digest"]
    assert transformers.AutoModelForCausalLM.from_pretrained(result).num_parameters() == tiny_model().num_parameters()
    assert transformers.AutoTokenizer.from_pretrained(result).chat_template


@pytest.mark.parametrize(  # only 번째 without a space is read; both are written, in the second with the same weights
    ("family", "moved"),
    [
        ("Llama", {"model.embed_tokens.weight": [VOCABULARY], "lm_head.weight": [VOCABULARY, VOCABULARY + 1]}),
        ("Gemma2", {"model.embed_tokens.weight": [VOCABULARY, VOCABULARY + 1]}),
    ],
)
def test_terms_become_tokens_of_a_base_that_workers_serve(
    family: str, moved: dict[str, list[int]], tmp_path: Path
) -> None:
    method = LORA | {"kind": "extend", "terms": ["번째"]}
    stages = [stage("causal_lm", "texts"), stage("sft", "chats")]
    recipe = tiny_recipe(tmp_path, method, stages=stages, family=family)

    summary = trained(recipe, tmp_path)

    fertility = summary["stages"]["causal-lm"]["fertility"]
    assert fertility["after"] < fertility["before"]
    begun, ended = (
        load_file(folder / "model.safetensors") for folder in (recipe.run_dir / "extended", Path(summary["result"]))
    )
    assert begun.keys() == ended.keys()
    rows = {name: (begun[name] != ended[name]).any(1).nonzero().flatten().tolist() for name in moved}
    assert rows == moved
    manifest = json.loads((Path(summary["result"]) / "manifest.json").read_text())
    assert manifest["base_digest"] == files_digest(recipe.base) != manifest["digest"]
    loaded = load(summary["result"], device="cpu", dtype="float32", max_new_tokens=8)
    assert loaded.facts.digest == manifest["digest"]
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("7번째 글")) == "7번째 글"


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(kind: str, tmp_path: Path) -> None:
    method = LORA | {"dropout": 0.2} if kind == "lora" else {"kind": "full"}
    stages = [stage("sft", "chats", steps=4)]
    whole = trained(tiny_recipe(tmp_path, method, stages=stages), tmp_path)
    pieces = tiny_recipe(tmp_path, method, stages=stages, run_dir=tmp_path / "pieces")

    assert run(pieces, tmp_path, steps=1) is None
    assert run(pieces, tmp_path, steps=2) is None
    (pieces.run_dir / "1-sft" / "checkpoints" / "checkpoint-4").mkdir()  # a process was killed while it wrote
    resumed = trained(pieces, tmp_path)

    file = "adapter_model.safetensors" if kind == "lora" else "model.safetensors"
    once, again = (load_file(Path(each["result"]) / file) for each in (whole, resumed))
    assert once.keys() == again.keys()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert resumed["stages"]["sft"]["steps"] == 4


def test_domain_then_task_then_preference_with_what_was_forgotten(tmp_path: Path) -> None:
    stages = [stage("causal_lm", "texts"), stage("sft", "chats"), stage("dpo", "pairs")]
    held_out = {"general": {"files": ["texts.jsonl"], "most_rows": 4}, "task": {"files": ["chats.jsonl"]}}
    recipe = tiny_recipe(tmp_path, LORA, stages=stages, held_out=held_out)

    summary = trained(recipe, tmp_path)

    assert list(summary["held_out"]) == ["before", "1-causal-lm", "2-sft", "3-dpo"]
    losses = {when: sets["task"]["loss"] for when, sets in summary["held_out"].items()}
    assert losses["2-sft"] < losses["before"]
    assert (recipe.run_dir / "curves.png").stat().st_size > 1000
    manifest = json.loads((Path(summary["result"]) / "nunmal.json").read_text())
    assert manifest["metrics"]["held_out"] == summary["held_out"]["3-dpo"]
    digest = files_digest(recipe.base)
    assert read_adapter("tiny", Path(summary["result"]), base_of(tiny_model(), digest, "none")).manifest.rank == 4


def test_a_whole_model_learns_a_preference_beside_its_reference(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, {"kind": "full"}, stages=[stage("sft", "chats"), stage("dpo", "pairs")])

    manifest = json.loads((Path(trained(recipe, tmp_path)["result"]) / "manifest.json").read_text())

    assert manifest["stage"] == "dpo"
    assert list(manifest["data"]) == ["sft", "dpo"]
    assert 0 <= manifest["metrics"]["eval_rewards/accuracies"] <= 1


def test_curves_go_where_the_recipe_says(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    recipe = tiny_recipe(tmp_path, LORA, report_to="tensorboard")

    trained(recipe, tmp_path)

    assert list(recipe.run_dir.glob("1-sft/checkpoints/**/events.out.tfevents.*"))


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is here")
def test_a_reporter_that_is_not_installed_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, LORA, report_to="wandb")

    with pytest.raises(ConfigError, match="wandb is not installed"):
        run(recipe, tmp_path)


def test_masked_words_are_guessed_by_an_encoder(tmp_path: Path) -> None:
    base = tmp_path / "bert"
    config = transformers.BertConfig(
        vocab_size=VOCABULARY + 1, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    transformers.BertForMaskedLM(config).save_pretrained(base)
    tokenizer = tiny_tokenizer("<mask>")
    tokenizer.mask_token = "<mask>"
    tokenizer.save_pretrained(base)
    method = LORA | {"target_modules": ["query", "value"]}

    summary = trained(tiny_recipe(tmp_path, method, stages=[stage("masked_lm", "texts")], base=base), tmp_path)

    manifest = json.loads((Path(summary["result"]) / "nunmal.json").read_text())
    assert manifest["not_served"] == "an encoder answers nobody"
    assert summary["stages"]["masked-lm"]["eval_loss"] > 0


def test_gpt_neox_learns_in_its_joined_layer(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, LORA | {"target_modules": ["query_key_value"]}, family="GPTNeoX")

    result = Path(trained(recipe, tmp_path)["result"])

    assert (
        len(read_adapter("tiny", result, base_of(tiny_model("GPTNeoX"), files_digest(recipe.base), "none")).layers) == 3
    )


def test_loftq_that_moves_the_base_publishes_it_or_the_difference(tmp_path: Path) -> None:
    method = LORA | {"kind": "loftq", "iterations": 3, "publish": "difference"}
    recipe = tiny_recipe(tmp_path, method, held_out={"task": {"files": ["chats.jsonl"]}})

    summary = trained(recipe, tmp_path)

    moved = recipe.run_dir / "loftq" / "base"
    digest = served_digest(files_digest(moved), "nf4")
    assert read_adapter("tiny", Path(summary["result"]), base_of(tiny_model(), digest, "nf4")).manifest.rank == 4
    assert json.loads((moved / "manifest.json").read_text())["made_from"] == files_digest(recipe.base)
    difference = recipe.run_dir / "1-sft" / "difference"
    assert read_adapter("tiny", difference, base_of(tiny_model(), files_digest(recipe.base), "none")).manifest.rank == 8
    measured = summary["stages"]["sft"]["difference"]
    assert measured["logit_error"]["mean"] > 0
    assert measured["held_out"]["task"]["loss"] == pytest.approx(summary["held_out"]["1-sft"]["task"]["loss"], rel=0.2)


def test_loftq_begins_nearer_to_the_base_than_nf4_alone(tmp_path: Path) -> None:
    methods: list[dict[str, Any]] = [{"kind": "qlora"}, {"kind": "loftq"}, {"kind": "loftq", "iterations": 5}]
    nf4, loftq, turns = (
        tiny_recipe(tmp_path, LORA | method, run_dir=tmp_path / f"run-{number}")
        for number, method in enumerate(methods)
    )

    found = [{"input_ids": list(range(5, 60))}]
    errors = [
        logit_error(bases.open_model(recipe, bases.settle(recipe), None), tiny_model(), found)["mean"]
        for recipe in (nf4, loftq, turns)
    ]

    assert errors[0] > errors[1] > errors[2]


def test_nunmal_train_is_the_same_command(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\nbase: none\n")

    assert nunmal(["train", "--config", str(recipe)]) == 2
    assert nunmal(["train", "--help"]) == 0
    with pytest.raises(SystemExit, match="2"):
        nunmal(["web", "--config", str(recipe)])


def test_another_recipe_does_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    trained(tiny_recipe(tmp_path, LORA), tmp_path)

    with pytest.raises(ConfigError, match="another seed"):
        run(tiny_recipe(tmp_path, LORA, seed=8), tmp_path)


def test_a_target_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'query_key_value' is no linear layer .* q_proj"):
        run(tiny_recipe(tmp_path, LORA | {"target_modules": ["query_key_value"]}), tmp_path)


@pytest.mark.timeout(900)  # each of its runs is a process that loads torch and trl
def test_a_sweep_ends_in_a_table_and_is_not_run_twice(tmp_path: Path) -> None:
    swept: dict[str, Any] = {"method.r": [2], "stages.sft.training.rate": [0.01, 0.02]}
    recipe = tiny_recipe(tmp_path, LORA, sweep=swept, held_out={"talk": {"files": ["chats.jsonl"], "most_rows": 4}})

    table = sweep(recipe, tmp_path, threads=1)

    assert [row["set"]["stages.sft.training.rate"] for row in table] == [0.01, 0.02]
    assert all(row["failure"] is None and row["held_out"]["talk"] > 0 and row["size_bytes"] > 0 for row in table)
    written = (recipe.run_dir / "sweep.md").read_text()
    assert written.startswith("| method.r | stages.sft.training.rate | loss talk | eval loss |")
    assert json.loads((recipe.run_dir / "sweep.json").read_text()) == table
    ended = (recipe.run_dir / "run-001" / "summary.json").stat().st_mtime_ns
    assert sweep(recipe, tmp_path, threads=1) == table
    assert (recipe.run_dir / "run-001" / "summary.json").stat().st_mtime_ns == ended
