"""A worker takes an adapter whole, by the rules of shared/adapters (tests/unit/shared/test_adapter_check.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS
from shared.errors import AdapterRefused
from tests.adapter_folders import BASE, SAID, SHAPES, TRAINED, checked, safetensors, write_adapter
from workers.engine.adapters.adapter_files import AdapterFiles, read_adapter

Q0, Q1 = (f"model.layers.{layer}.attn.q" for layer in range(2))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("What PEFT leaves beside it is not read.")
    return write_adapter(tmp_path)


def read(directory: Path) -> AdapterFiles:
    return read_adapter("tutor", directory, BASE)


def test_a_sound_adapter_comes_with_its_facts(directory: Path) -> None:
    files = read(directory)

    assert files.manifest == checked("tutor", directory)
    assert sorted(files.layers) == [Q0, Q1]
    assert files.layers[Q0].a.equal(torch.ones(2, 6))
    assert files.layers[Q0].b.equal(torch.ones(4, 2))
    assert files.layers[Q0].scaling == 3
    assert files.layers[Q0].magnitude is None


def test_dora_has_magnitudes(directory: Path) -> None:
    (directory / CONFIG).write_text(json.dumps(SAID | {"use_dora": True}))
    magnitudes = {f"base_model.model.{module}.lora_magnitude_vector": (4,) for module in (Q0, Q1)}
    (directory / WEIGHTS).write_bytes(safetensors(SHAPES | magnitudes, "BF16"))

    files = read(directory)

    magnitude = files.layers[Q1].magnitude
    assert files.manifest.method == "dora"
    assert magnitude is not None
    assert (magnitude.shape, magnitude.dtype) == ((4,), torch.bfloat16)


def test_every_file_that_is_used_changes_the_digest(directory: Path) -> None:
    digests = {read(directory).manifest.digest, read(directory).manifest.digest}
    assert len(digests) == 1

    (directory / CONFIG).write_text(json.dumps(SAID | {"lora_alpha": 7}))
    digests.add(read(directory).manifest.digest)
    (directory / WEIGHTS).write_bytes(safetensors(SHAPES, fill=0.0))
    digests.add(read(directory).manifest.digest)
    (directory / "README.md").write_text("Other words.")
    digests.add(read(directory).manifest.digest)
    (directory / ORIGIN).write_text(json.dumps(TRAINED | {"seed": 1}))
    digests.add(read(directory).manifest.digest)

    assert len(digests) == 4


def link(directory: Path) -> None:
    (directory / WEIGHTS).rename(directory.parent / "elsewhere.safetensors")
    (directory / WEIGHTS).symlink_to(directory.parent / "elsewhere.safetensors")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (link, "adapter_file_kind"),
        (lambda at: (at / "adapter_model.bin").touch(), "adapter_file_unknown"),
        (lambda at: (at / CONFIG).write_text(json.dumps(SAID | {"r": 3})), "adapter_tensor_shape"),
        (lambda at: (at / ORIGIN).write_text(json.dumps(TRAINED | {"numerics": "nf4"})), "adapter_numerics_other"),
        (lambda at: (at / ORIGIN).write_text(json.dumps(TRAINED | {"base_digest": "f00"})), "adapter_base_other"),
        (lambda at: (at / WEIGHTS).write_bytes(safetensors(SHAPES)[:-1]), "adapter_header_broken"),
        (lambda at: (at / WEIGHTS).write_bytes(safetensors(SHAPES | {"more": (1,)})), "adapter_tensor_unknown"),
        (lambda at: (at / WEIGHTS).write_bytes(safetensors(SHAPES, fill=float("inf"))), "adapter_not_finite"),
    ],
)
def test_what_breaks_a_rule_is_refused(directory: Path, spoil: Callable[[Path], object], code: str) -> None:
    spoil(directory)

    with pytest.raises(AdapterRefused) as caught:
        read(directory)

    assert caught.value.code == code
    assert caught.value.facts["adapter"] == "tutor"


def test_a_version_is_taken_from_its_own_files_alone(directory: Path) -> None:
    version = checked("tutor", directory).version_id
    assert read_adapter(version, directory, BASE).manifest.version_id == version

    (directory / WEIGHTS).write_bytes(safetensors(SHAPES, fill=0.5))

    with pytest.raises(AdapterRefused, match=f"not of {version}") as caught:
        read_adapter(version, directory, BASE)
    assert caught.value.code == "adapter_file_changed"
