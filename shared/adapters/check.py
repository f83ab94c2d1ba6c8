"""The door for adapters from outside: a folder is taken whole, as a manifest, or refused with a rule.

Nothing in it is executed, unpickled or matched as a pattern. Not here: what the adapter says, and whether its values
stay finite in the precision of the model that serves it; a worker sees to that when it loads one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shared.adapters.base import BaseDescription
from shared.adapters.config import LoraConfig
from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS, AdapterFolder, FileName
from shared.adapters.manifest import AdapterFile, AdapterManifest, AdapterTensor, Origin, adapter_name, read_origin
from shared.adapters.refusals import AdapterBaseOther, AdapterNumericsOther, refusal
from shared.adapters.weights import check_tensors, hash_finite, read_header


@dataclass(frozen=True, slots=True)
class Said:
    """What the two JSON files of an adapter say, checked against a base."""

    name: str
    origin: Origin
    config: LoraConfig
    origin_file: AdapterFile
    config_file: AdapterFile


def check_folder(folder: AdapterFolder, base: BaseDescription) -> AdapterManifest:
    """Check everything about the adapter in an opened folder. Blocks, and reads every byte once.

    Raises AdapterRefused, AdapterNameInvalid.
    """
    said = check_said(folder, base)
    with folder.opened(WEIGHTS, said.config.most_bytes()) as (weights, size):
        return check_weights(said, weights, size)


def check_said(folder: AdapterFolder, base: BaseDescription) -> Said:
    """All but the weights, which `check_weights` must follow. Raises AdapterRefused, AdapterNameInvalid."""
    name = adapter_name(folder.adapter)
    origin_bytes, value = folder.read_json(ORIGIN)
    _check_base(name, value.get("base_digest"), value.get("numerics"), base)
    origin = read_origin(name, value)
    config_bytes, options = folder.read_json(CONFIG)
    config = LoraConfig(name, options, base.linears)
    return Said(name, origin, config, _file(ORIGIN, origin_bytes), _file(CONFIG, config_bytes))


def check_weights(said: Said, weights: BinaryIO, size: int) -> AdapterManifest:
    """From the file's first byte to its last, a few megabytes at a time. Raises AdapterRefused."""
    config, header = said.config, read_header(said.name, weights, size)
    check_tensors(said.name, header, config.all_shapes())
    sha256 = hash_finite(said.name, weights, header)
    tensors = sorted(header.tensors, key=lambda tensor: tensor.name)
    return AdapterManifest(
        name=said.name,
        files=(said.config_file, AdapterFile(name=WEIGHTS, sha256=sha256, size_bytes=size), said.origin_file),
        method="dora" if config.is_dora else "lora",
        rank=config.rank,
        alpha=config.alpha,
        targets=config.targets,
        tensors=tuple(AdapterTensor(name=each.name, dtype=each.dtype, shape=each.shape) for each in tensors),
        origin=said.origin,
    )


def origin_of(name: str, directory: Path) -> Origin:
    """What a folder says it was trained on, which leads to the base to check it against. Raises AdapterRefused."""
    with AdapterFolder(name, directory) as folder:
        return read_origin(name, folder.read_json(ORIGIN)[1])


def _check_base(name: str, base_digest: object, numerics: object, base: BaseDescription) -> None:
    if base_digest != base.digest:
        reason = f"it belongs to base {base_digest!r}, this worker serves {base.digest!r}"
        raise refusal(AdapterBaseOther, name, ORIGIN, base_digest, reason)
    if numerics != base.numerics:
        reason = f"its base had numerics {numerics!r}, this worker's has {base.numerics!r}"
        raise refusal(AdapterNumericsOther, name, ORIGIN, numerics, reason)


def _file(name: FileName, content: bytes) -> AdapterFile:
    return AdapterFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
