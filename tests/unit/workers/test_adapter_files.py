"""An adapter is taken whole or refused with one line that says why."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.errors import AdapterRefused
from tests.tiny_adapters import BASE_DIGEST
from workers.engine.adapters.adapter_files import AdapterFiles, LinearShape, read_adapter

LINEARS = {f"model.layers.{layer}.attn.{name}": LinearShape(6, 4) for layer in range(2) for name in ("q", "v")}
Q0 = "base_model.model.model.layers.0.attn.q"
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 2,
    "lora_alpha": 6,
    "bias": "none",
    "target_modules": ["q"],
    "lora_dropout": 0.1,
    "base_model_name_or_path": "a-name-is-no-digest",
    "auto_mapping": None,
    "loftq_config": {},
    "fan_in_fan_out": False,
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tensors: dict[str, torch.Tensor] = {}
    for layer in range(2):
        module = f"base_model.model.model.layers.{layer}.attn.q"
        tensors |= {f"{module}.lora_A.weight": torch.ones(2, 6), f"{module}.lora_B.weight": torch.ones(4, 2)}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "nunmal.json").write_text(json.dumps({"base_digest": BASE_DIGEST, "numerics": "none", "seed": 1}))
    (tmp_path / "README.md").write_text("What PEFT leaves beside it is not read.")
    return tmp_path


def read(directory: Path) -> AdapterFiles:
    return read_adapter("tutor", directory, LINEARS, BASE_DIGEST, "none")


def configure(directory: Path, **changes: object) -> None:
    (directory / "adapter_config.json").write_text(json.dumps(CONFIG | changes))


def tensors_of(directory: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in load_file(directory / "adapter_model.safetensors").items()}


def replace_tensor(directory: Path, name: str, tensor: torch.Tensor | None) -> None:
    tensors = tensors_of(directory)
    tensors.pop(name, None)
    save_file(tensors if tensor is None else tensors | {name: tensor}, directory / "adapter_model.safetensors")


def test_a_sound_adapter_comes_with_its_facts(directory: Path) -> None:
    files = read(directory)

    assert (files.rank, files.is_dora, files.base_digest, files.numerics) == (2, False, BASE_DIGEST, "none")
    assert sorted(files.layers) == ["model.layers.0.attn.q", "model.layers.1.attn.q"]
    assert files.layers["model.layers.0.attn.q"].scaling == 3
    assert files.layers["model.layers.0.attn.q"].magnitude is None


def test_patterns_and_rslora_decide_rank_and_scaling(directory: Path) -> None:
    replace_tensor(directory, f"{Q0}.lora_A.weight", torch.ones(4, 6))
    replace_tensor(directory, f"{Q0}.lora_B.weight", torch.ones(4, 4))
    patterns = {"rank_pattern": {"0.attn.q": 4}, "alpha_pattern": {"layers.0.attn.q": 10}}
    configure(directory, use_rslora=True, **patterns)

    files = read(directory)

    assert files.rank == 4
    assert files.layers["model.layers.0.attn.q"].scaling == 10 / 4**0.5
    assert files.layers["model.layers.1.attn.q"].scaling == pytest.approx(6 / 2**0.5)


def test_every_file_that_is_used_changes_the_digest(directory: Path) -> None:
    digests = {read(directory).digest, read(directory).digest}
    assert len(digests) == 1

    configure(directory, lora_alpha=7)
    digests.add(read(directory).digest)
    replace_tensor(directory, f"{Q0}.lora_A.weight", torch.zeros(2, 6))
    digests.add(read(directory).digest)
    (directory / "README.md").write_text("Other words.")
    digests.add(read(directory).digest)

    assert len(digests) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"auto_mapping": {"base_model_class": "X", "parent_library": "evil"}}, "auto_mapping is not supported"),
        ({"layer_replication": [[0, 1], [0, 2]]}, "layer_replication is not supported"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is not supported"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is not supported"),
        ({"layers_to_transform": 0}, "layers_to_transform is not supported: name the layers"),
        ({"exclude_modules": ["v"]}, "exclude_modules is not supported"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out is not supported"),
        ({"lora_bias": True}, "lora_bias is not supported"),
        ({"something_of_next_year": 1}, "something_of_next_year is not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which changes the base"),
        ({"init_lora_weights": ["x"]}, "init_lora_weights is"),
        ({"target_modules": ".*q"}, "target_modules must be a list"),
        ({"target_modules": None}, "target_modules must be a list"),
        ({"target_modules": []}, "target_modules must be a list"),
        ({"target_modules": ["q", "lm_head"]}, "target_modules has 'lm_head'"),
        ({"target_modules": ["(.+)+q"]}, "no linear layer"),
        ({"target_modules": ["q", "v"]}, "layers.0.attn.v.lora_A.weight is missing"),
        ({"target_modules": ["0.attn.q"]}, "2 tensors fit no targeted layer"),
        ({"r": 0}, "r is 0"),
        ({"r": 257}, "r is 257, expected a number above 0 and at most 256"),
        ({"r": True}, "r is True"),
        ({"r": 2.5}, "r is 2.5"),
        ({"r": 3}, r"lora_A.weight has shape \(2, 6\), expected \(3, 6\)"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": 10**400}, "lora_alpha is 1000"),
        ({"lora_alpha": "8"}, "lora_alpha is '8'"),
        ({"rank_pattern": {"(a+)+": 2}}, "only names"),
        ({"rank_pattern": {"q": 300}}, "rank_pattern.q is 300"),
        ({"alpha_pattern": [1]}, "alpha_pattern must be an object"),
        ({"use_dora": "yes"}, "use_dora must be true or false"),
        ({"use_dora": True}, "layers.0.attn.q.lora_magnitude_vector is missing"),
    ],
    ids=str,
)
def test_a_configuration_that_is_not_plain_lora_is_refused(
    directory: Path, changes: dict[str, object], reason: str
) -> None:
    configure(directory, **changes)

    with pytest.raises(AdapterRefused, match=reason) as caught:
        read(directory)

    assert caught.value.facts["adapter"] == "tutor"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("lora_A.weight", None, "lora_A.weight is missing"),
        ("lora_A.weight", torch.ones(2, 7), r"has shape \(2, 7\), expected \(2, 6\)"),
        ("lora_B.weight", torch.ones(2, 4), r"has shape \(2, 4\), expected \(4, 2\)"),
        ("lora_B.weight", torch.full((4, 2), float("nan")), "not finite"),
        ("lora_A.weight", torch.full((2, 6), float("inf")), "not finite"),
        ("lora_A.weight", torch.ones(2, 6, dtype=torch.float64), "float64, expected one of"),
        ("lora_A.weight", torch.ones(2, 6, dtype=torch.int8), "int8, expected one of"),
        ("lora_A.bias", torch.ones(2), "1 tensors fit no targeted layer"),
        ("base_layer.weight", torch.ones(4, 6), "1 tensors fit no targeted layer"),
    ],
)
def test_tensors_that_do_not_fit_the_base_are_refused(
    directory: Path, name: str, tensor: torch.Tensor | None, reason: str
) -> None:
    replace_tensor(directory, f"{Q0}.{name}", tensor)

    with pytest.raises(AdapterRefused, match=reason):
        read(directory)


def link(directory: Path) -> None:
    (directory / "adapter_model.safetensors").rename(directory.parent / "elsewhere.safetensors")
    (directory / "adapter_model.safetensors").symlink_to(directory.parent / "elsewhere.safetensors")


def pipe(directory: Path) -> None:
    (directory / "adapter_config.json").unlink()
    os.mkfifo(directory / "adapter_config.json")


def weights(content: bytes) -> Callable[[Path], object]:
    return lambda directory: (directory / "adapter_model.safetensors").write_bytes(content)


def text(file: str, content: str) -> Callable[[Path], object]:
    return lambda directory: (directory / file).write_text(content)


def cut(directory: Path) -> None:
    file = directory / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a symbolic link": (link, "'adapter_model.safetensors' is not a plain file"),
    "a pipe": (pipe, "'adapter_config.json' is not a plain file"),
    "a directory": (lambda directory: (directory / "more").mkdir(), "'more' is not a plain file"),
    "a pickle": (
        lambda directory: (directory / "adapter_model.bin").write_bytes(pickle.dumps({})),
        "'adapter_model.bin': files of this kind can hold code",
    ),
    "code": (text("modeling.py", "raise SystemExit"), "'modeling.py': files of this kind can hold code"),
    "no configuration": (lambda directory: (directory / "adapter_config.json").unlink(), "no adapter_config.json"),
    "no weights": (lambda directory: (directory / "adapter_model.safetensors").unlink(), "no adapter_model.safete"),
    "no manifest": (lambda directory: (directory / "nunmal.json").unlink(), "no nunmal.json"),
    "a pickle by another name": (weights(pickle.dumps([1] * 99)), "header of adapter_model.safetensors is larger"),
    "weights cut short": (cut, "damaged or cut short"),
    "empty weights": (weights(b""), "damaged or cut short"),
    "an endless header": (weights((1 << 40).to_bytes(8, "little") + b"{}"), "header of .* is larger than"),
    "a dtype of nobody": (
        weights((0).to_bytes(8, "little").replace(b"\0", b"\x44", 1) + b'{"a":{"dtype":"X9"}}'.ljust(0x44)),
        "damaged or cut short",
    ),
    "too much": (weights(b" " * (5 << 20)), "larger than .* bytes, the most such an adapter can have"),
    "not JSON": (text("adapter_config.json", "{"), "adapter_config.json is not valid JSON"),
    "not UTF-8": (lambda directory: (directory / "nunmal.json").write_bytes(b"\xff\xfe\xfd"), "not valid JSON"),
    "nested without end": (text("adapter_config.json", "[" * 200_000), "adapter_config.json is not valid JSON"),
    "a list": (text("nunmal.json", "[]"), "nunmal.json is not a JSON object"),
    "too much JSON": (text("nunmal.json", " " * (300 << 10)), "nunmal.json is larger than"),
    "another base": (text("nunmal.json", '{"base_digest": "f00", "numerics": "none"}'), "it belongs to base 'f00'"),
    "no base": (text("nunmal.json", '{"base_digest": null, "numerics": "none"}'), "it belongs to base None"),
    "other numerics": (
        text("nunmal.json", json.dumps({"base_digest": BASE_DIGEST, "numerics": "nf4"})),
        "its base had numerics 'nf4', this worker's has 'none'",
    ),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused(directory: Path, spoil: Callable[[Path], object], reason: str) -> None:
    spoil(directory)

    with pytest.raises(AdapterRefused, match=reason):
        read(directory)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterRefused, match="its directory cannot be read"):
        read(tmp_path / "nowhere")
