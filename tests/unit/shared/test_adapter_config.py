"""adapter_config.json: what it says of layers, ranks and scalings; whatever is not plain LoRA or DoRA is refused."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.config import LoraConfig
from shared.errors import AdapterRefused
from tests.adapter_folders import BASE, SAID

Q0, Q1 = (f"model.layers.{layer}.attn.q" for layer in range(2))


def read(**changes: Any) -> LoraConfig:
    return LoraConfig("tutor", SAID | changes, BASE.linears)


def test_targets_are_names_or_their_ends() -> None:
    assert read().modules == [Q0, Q1]
    assert read(target_modules=[Q1, "0.attn.v"]).modules == ["model.layers.0.attn.v", Q1]
    assert read(target_modules=["q", "attn.q"]).modules == [Q0, Q1]


def test_patterns_and_rslora_decide_rank_and_scaling() -> None:
    config = read(use_rslora=True, rank_pattern={"0.attn.q": 4}, alpha_pattern={"layers.0.attn.q": 10})

    assert config.rank == 4
    assert config.scaling(Q0) == 10 / 4**0.5
    assert config.scaling(Q1) == pytest.approx(6 / 2**0.5)
    assert list(config.shapes(Q0).values()) == [(4, 6), (4, 4)]
    assert read().scaling(Q0) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trainable_token_indices": [1]}, "trainable_token_indices is not supported"),
        ({"layers_to_transform": 0}, "layers_to_transform is not supported: name the layers"),
        ({"exclude_modules": ["v"]}, "exclude_modules is not supported"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out is not supported"),
        ({"lora_bias": True}, "lora_bias is not supported"),
        ({"auto_mapping": {"parent_library": "evil"}}, "auto_mapping is not supported: train with task_type"),
        ({"init_lora_weights": ["x"]}, "init_lora_weights is"),
        ({"target_modules": None}, "target_modules must be a list"),
        ({"target_modules": []}, "target_modules must be a list"),
        ({"target_modules": [1]}, "target_modules must be a list"),
        ({"r": 257}, "r is 257, expected a number above 0 and at most 256"),
        ({"r": True}, "r is True"),
        ({"r": 2.5}, "r is 2.5"),
        ({"lora_alpha": "8"}, "lora_alpha is '8'"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"alpha_pattern": [1]}, "alpha_pattern must be an object"),
        ({"use_dora": "yes"}, "use_dora must be true or false"),
    ],
    ids=str,
)
def test_what_would_change_the_mathematics_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(AdapterRefused, match=reason):
        read(**changes)
