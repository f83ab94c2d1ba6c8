"""The part of a model that reads and writes words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny_models import FAMILIES_WITH_EYES, tiny_model, tiny_model_with_eyes
from vision.decoder import decoder_linears, has_eyes, open_language_model

IDS = torch.tensor([[1, 5, 9, 4]])


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=IDS).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", [*FAMILIES_WITH_EYES, "Llama"])
def test_a_folder_gives_a_language_model_that_says_the_same_without_pictures(family: str, tmp_path: Path) -> None:
    whole = tiny_model_with_eyes(family) if family in FAMILIES_WITH_EYES else tiny_model(family)
    whole.save_pretrained(tmp_path)

    language = open_language_model(tmp_path)

    assert not has_eyes(language.config)
    assert torch.equal(logits(language), logits(whole))
    assert not any("vision" in name for name, _ in language.named_parameters())
    assert all(weights.device.type == "cpu" for weights in language.state_dict().values())


@pytest.mark.parametrize("family", FAMILIES_WITH_EYES)
def test_the_decoders_layers_are_named_as_in_the_whole_and_the_eyes_have_none(family: str) -> None:
    model = tiny_model_with_eyes(family)

    linears = decoder_linears(model)

    assert linears
    assert all(model.get_submodule(name) is module for name, module in linears.items())
    assert not any("vision" in name or "projector" in name or "head" in name for name in linears)
