"""An adapter from outside is taken whole or refused by a rule, in one line that names the file; no pickle is opened."""

from __future__ import annotations

import builtins
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters import refusals
from shared.adapters.check import origin_of
from shared.adapters.folder import WEIGHTS
from shared.adapters.manifest import adapter_name, name_of, read_manifest
from shared.errors import AdapterNameInvalid, AdapterRefused
from tests.adapter_folders import SHAPES, TRAINED, checked, safetensors, write_adapter
from tests.hostile_adapters import HOSTILE, Spoil, configure
from web.words import load_words


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


# What is taken.


def test_a_manifest_tells_all_that_identifies_an_adapter(directory: Path) -> None:
    (directory / "README.md").write_text("What PEFT leaves beside it is not read.")

    manifest = checked("wallpaper", directory)

    assert (manifest.name, manifest.method, manifest.rank, manifest.alpha) == ("wallpaper", "lora", 2, 6)
    assert manifest.targets == ("q",)
    assert {tensor.name: tensor.shape for tensor in manifest.tensors} == SHAPES
    assert manifest.size_bytes == sum(file.stat().st_size for file in directory.iterdir() if file.name != "README.md")
    assert manifest.origin.recipe == TRAINED["recipe"]
    assert manifest.origin.metrics == {"loss": 1.5}
    assert manifest.version_id == f"wallpaper@{manifest.digest[:12]}"
    assert name_of(manifest.version_id) == "wallpaper"
    assert read_manifest(manifest.canonical(), manifest.digest) == manifest
    assert origin_of("wallpaper", directory) == manifest.origin


def test_the_digest_follows_from_name_and_files_alone(directory: Path, tmp_path: Path) -> None:
    again = write_adapter(tmp_path / "again")

    digests = {checked("a", each).digest for each in (directory, again)}
    assert len(digests) == 1

    digests.add(checked("b", directory).digest)
    digests.add(checked("a", write_adapter(tmp_path / "filled", fill=2.0)).digest)
    digests.add(checked("a", write_adapter(tmp_path / "noted", trained=TRAINED | {"seed": 2})).digest)
    assert len(digests) == 4


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_every_precision_is_taken(directory: Path, dtype: str) -> None:
    (directory / WEIGHTS).write_bytes(safetensors(SHAPES, dtype, fill=60_000.0))

    assert {tensor.dtype for tensor in checked("a", directory).tensors} == {dtype}


def test_magnitudes_patterns_and_names_of_layers_are_expected_as_they_are_said(directory: Path) -> None:
    configure(use_dora=True, target_modules=["0.attn.q", "1.attn.v"], rank_pattern={"v": 3})(directory)
    names = ("0.attn.q", 2), ("1.attn.v", 3)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, rank in names:
        module = f"base_model.model.model.layers.{name}"
        shapes |= {f"{module}.lora_A.weight": (rank, 6), f"{module}.lora_B.weight": (4, rank)}
        shapes[f"{module}.lora_magnitude_vector"] = (4,)
    (directory / WEIGHTS).write_bytes(safetensors(shapes))

    manifest = checked("a", directory)

    assert (manifest.method, manifest.rank) == ("dora", 3)


# What is refused.


@pytest.mark.parametrize(("spoil", "code", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_adapter_is_refused_by_its_rule(
    directory: Path, spoil: Spoil, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(directory)
    monkeypatch.setattr(pickle, "load", builtins.exit)
    monkeypatch.setattr(pickle, "loads", builtins.exit)

    with pytest.raises(AdapterRefused) as caught:
        checked("wallpaper", directory)

    error = caught.value
    assert error.code == code
    assert reason in str(error.facts["reason"])
    assert error.facts["adapter"] == "wallpaper"
    assert set(error.facts) == {"adapter", "file", "value", "reason"}
    assert "\n" not in str(error)
    assert len(str(error)) < 700
    str(error).encode()  # half a character cannot be logged or stored
    for words in load_words().values():
        assert words.explain(error) != words("error.internal")


def test_every_rule_refuses_something() -> None:
    kinds = {kind.code for kind in AdapterRefused.__subclasses__() if kind.__module__ == refusals.__name__}

    refused = {code for _, code, _ in HOSTILE.values()}
    assert kinds - refused == {"adapter_file_changed"}  # tests/contract/test_adapters_store.py


def test_the_last_number_of_a_large_file_is_looked_at(directory: Path) -> None:
    content = bytearray((directory / WEIGHTS).read_bytes())
    content[-4:] = b"\x00\x00\xc0\x7f"
    (directory / WEIGHTS).write_bytes(content)

    with pytest.raises(refusals.AdapterNotFinite, match=r"1\.attn\.q\.lora_B"):
        checked("a", directory)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_bytes_are_taken_or_refused_and_nothing_else(directory: Path, data: st.DataObject) -> None:
    sound = safetensors(SHAPES)
    place = data.draw(st.integers(0, len(sound) - 1))
    content = sound[:place] + data.draw(st.binary(max_size=12)) + sound[data.draw(st.integers(place, len(sound))) :]
    (directory / WEIGHTS).write_bytes(content)

    try:
        checked("a", directory)
    except AdapterRefused as error:
        assert error.facts["file"] == WEIGHTS


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(refusals.AdapterFileUnreadable, match="its directory cannot be read"):
        checked("a", tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "a/b", "A", "a@b", "a:b", ".a", "a.", "a\n", "벽지", "a" * 65]
)
def test_names_are_plain(name: str, directory: Path) -> None:
    with pytest.raises(AdapterNameInvalid):
        adapter_name(name)
    with pytest.raises(AdapterNameInvalid):
        checked(name, directory)
    with pytest.raises(AdapterNameInvalid):
        name_of(f"{name}@{'0' * 12}")


def test_a_manifest_that_was_changed_or_names_paths_is_refused(directory: Path) -> None:
    manifest = checked("a", directory)
    content = json.loads(manifest.canonical())

    with pytest.raises(refusals.AdapterManifestBroken, match="digest is not"):
        read_manifest(manifest.canonical() + b" ", manifest.digest)
    content["files"][0]["name"] = "../../etc/passwd"
    with pytest.raises(refusals.AdapterManifestBroken, match=r"files\.0\.name"):
        read_manifest(*_signed(content))
    content["files"][0]["name"] = WEIGHTS
    with pytest.raises(refusals.AdapterManifestBroken, match="files must be"):
        read_manifest(*_signed(content))


def _signed(content: dict[str, Any]) -> tuple[bytes, str]:
    changed = json.dumps(content).encode()
    return changed, hashlib.sha256(changed).hexdigest()
