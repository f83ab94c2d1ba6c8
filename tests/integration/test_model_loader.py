"""Any model directory that is whole opens; one that is not gives a single line that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM, LlavaForConditionalGeneration

from shared.chat import SamplingParams
from shared.errors import ConfigError, ModelError
from shared.prompting import FALLBACK_STOP
from tests.tiny_models import (
    CONTEXT_LENGTH,
    END,
    FAMILIES,
    PICTURE_SIZE,
    PLACEHOLDER,
    VOCABULARY,
    save_tiny_model,
    tiny_model_with_eyes,
    tiny_tokenizer,
)
from workers.engine import numerics
from workers.engine.facts import PictureFacts
from workers.engine.model_loader import LoadedModel, load
from workers.engine.numerics import choose_numerics
from workers.engine.sampling_defaults import SamplingDefaults


def open_directory(directory: Path) -> LoadedModel:
    return load(str(directory), device="cpu", dtype="auto", max_new_tokens=100)


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_opens_with_its_facts(family: str, tmp_path: Path) -> None:
    loaded = open_directory(save_tiny_model(tmp_path, family))

    assert loaded.facts.vocabulary == VOCABULARY
    assert loaded.facts.context_length == CONTEXT_LENGTH
    assert loaded.facts.stop_ids == {END}
    assert loaded.stop_text is None
    assert loaded.numerics.dtype == torch.float32


def test_a_model_without_a_chat_template_stops_at_the_next_label(tmp_path: Path) -> None:
    save_tiny_model(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()

    assert open_directory(tmp_path).stop_text == FALLBACK_STOP


def test_end_tokens_come_from_generation_config_tokenizer_and_template(tmp_path: Path) -> None:
    save_tiny_model(tmp_path)
    edit_json(tmp_path / "generation_config.json", eos_token_id=[7, 8])
    template = "{% for message in messages %}{{ message.content }}<|user|>{% endfor %}"
    (tmp_path / "chat_template.jinja").write_text(template)
    end_of_turn = tiny_tokenizer().convert_tokens_to_ids("<|user|>")

    assert open_directory(tmp_path).facts.stop_ids == {7, 8, END, end_of_turn}


def test_sampling_defaults_are_the_models_own(tmp_path: Path) -> None:
    save_tiny_model(tmp_path)
    own = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "max_new_tokens": 50}
    own |= {"min_p": 0.05, "repetition_penalty": 1.1}
    edit_json(tmp_path / "generation_config.json", **own)

    defaults = open_directory(tmp_path).sampling

    assert defaults == SamplingDefaults(0.6, 0.9, 20, 50, 0.05, 1.1)
    asked = SamplingParams(temperature=0.0, max_new_tokens=80, repetition_penalty=1.0)
    assert defaults.resolve(asked) == SamplingDefaults(0.0, 0.9, 20, 50, 0.05, 1.0)


def test_a_model_that_does_not_ask_to_be_sampled_is_greedy(tmp_path: Path) -> None:
    assert open_directory(save_tiny_model(tmp_path)).sampling.temperature == 0.0


def test_the_digest_names_weights_tokenizer_and_template(tmp_path: Path) -> None:
    first, same, other = (
        save_tiny_model(tmp_path / "a"),
        save_tiny_model(tmp_path / "b"),
        save_tiny_model(tmp_path / "c", seed=1),
    )
    digests = [open_directory(directory).facts.digest for directory in (first, same, other)]
    (same / "chat_template.jinja").write_text("{{ messages[0].content }}")

    assert digests[0] == digests[1] != digests[2]
    assert open_directory(same).facts.digest != digests[0]


def test_a_model_with_eyes_says_how_it_is_shown_pictures(tmp_path: Path) -> None:
    tiny_model_with_eyes("CLIP-GPTNeoX").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)

    loaded = load(str(tmp_path), device="cpu", dtype="float32", max_new_tokens=8)

    assert loaded.facts.pictures == PictureFacts(PLACEHOLDER, 16, PICTURE_SIZE, PICTURE_SIZE)
    assert loaded.facts.vocabulary == VOCABULARY
    assert loaded.facts.context_length == CONTEXT_LENGTH


def test_eyes_that_want_more_than_pixels_are_left_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(model: object, pixel_values: torch.Tensor, **_: object) -> None:
        raise TypeError("grid is missing")

    monkeypatch.setattr(LlavaForConditionalGeneration, "get_image_features", refusing)
    tiny_model_with_eyes().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)

    assert load(str(tmp_path), device="cpu", dtype="float32", max_new_tokens=8).facts.pictures is None


def test_a_stretched_rope_ends_the_context_where_rows_would_disturb_each_other(tmp_path: Path) -> None:
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0, "original_max_position_embeddings": 128}
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        rope_parameters=rope,
        eos_token_id=END,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)

    assert open_directory(tmp_path).facts.context_length == 128


def _cut_weights(directory: Path) -> None:
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _drop_weights(directory: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(directory / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def _remove_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), r"no config\.json$"),
    "bad json": (lambda d: (d / "config.json").write_text("{not json"), r"config\.json is not valid JSON"),
    "json of another shape": (lambda d: (d / "config.json").write_text("[]"), "config.json is not a JSON object"),
    "unknown type": (lambda d: edit_json(d / "config.json", model_type="nope"), "model_type 'nope' is not known"),
    "own code": (
        lambda d: edit_json(d / "config.json", model_type="nope", auto_map={"AutoConfig": "x.Y"}),
        "it brings its own code, which is never run",
    ),
    "not causal": (
        lambda d: edit_json(d / "config.json", model_type="siglip"),
        "'siglip' is not a causal language model",
    ),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "no .safetensors weights"),
    "cut weights": (_cut_weights, r"model\.safetensors is damaged or cut short"),
    "weights missing": (_drop_weights, "1 weights are missing or misshapen, first model.norm.weight"),
    "shard missing": (
        lambda d: (d / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}'),
        r"model-2\.safetensors is missing",
    ),
    "wrong shape": (lambda d: edit_json(d / "config.json", hidden_size=96), "cannot be loaded|misshapen"),
    "bad numbers": (lambda d: edit_json(d / "config.json", num_attention_heads=5), "cannot be .*not a multiple"),
    "no tokenizer": (_remove_tokenizer, "no tokenizer"),
    "bad tokenizer": (lambda d: (d / "tokenizer.json").write_text("{}"), "its tokenizer cannot be opened"),
    "small vocabulary": (
        lambda d: tiny_with_vocabulary(d, VOCABULARY - 5),
        f"tokenizer has {VOCABULARY} tokens, its weights only {VOCABULARY - 5}",
    ),
}


def tiny_with_vocabulary(directory: Path, vocabulary: int) -> None:
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(directory)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_directory_gives_one_line(name: str, tmp_path: Path) -> None:
    break_it, expected = BROKEN[name]
    break_it(save_tiny_model(tmp_path))

    with pytest.raises(ModelError, match=expected) as caught:
        open_directory(tmp_path)

    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"model {tmp_path}: ")
    assert len(str(caught.value)) < 500


def test_an_encoder_is_refused_although_it_has_a_causal_head(tmp_path: Path) -> None:
    save_tiny_model(tmp_path)
    model = BertLMHeadModel(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
    )
    with torch.no_grad():
        for weights in model.parameters():
            weights.normal_()
    model.save_pretrained(tmp_path)

    with pytest.raises(ModelError, match="does not fit the batch engine"):
        open_directory(tmp_path)


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere", "nowhere", "a/b/c"])
def test_a_directory_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(ModelError, match=f"model {source}: no such directory"):
        load(source, device="cpu", dtype="auto", max_new_tokens=10)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "meta", "nonsense"])
def test_a_device_this_machine_does_not_have_is_a_setting_error(device: str) -> None:
    with pytest.raises(ConfigError, match="NUNMAL_WORKER__DEVICE"):
        choose_numerics(device, "auto")


def test_a_configured_precision_is_kept() -> None:
    chosen = choose_numerics("cpu", "bfloat16")

    assert chosen.dtype == torch.bfloat16
    assert "as configured" in chosen.reason


@pytest.mark.parametrize(
    ("parameters", "is_fast", "dtype"),
    [
        (34_000_000, True, torch.float32),
        (320_000_000, True, torch.bfloat16),
        (320_000_000, False, torch.float32),
        (None, True, torch.float32),
    ],
)
def test_a_cpu_runs_in_bfloat16_what_is_large_if_it_is_fast_at_it(
    parameters: int | None, is_fast: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numerics, "_cpu_has_bfloat16", lambda: is_fast)

    assert choose_numerics("cpu", "auto", parameters).dtype == dtype
