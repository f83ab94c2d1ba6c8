"""The door for adapters from outside: a folder is taken whole, as a manifest, or refused with a rule.

Nothing in it is executed, unpickled or matched as a pattern. Not here: what the adapter says, and whether its values
stay finite in the precision of the model that serves it; a worker sees to that when it loads one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.adapters.base import BaseDescription
from shared.adapters.config import LoraConfig
from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS, AdapterFolder, FileName
from shared.adapters.manifest import AdapterFile, AdapterManifest, AdapterTensor, Origin, adapter_name, read_origin
from shared.adapters.refusals import AdapterBaseOther, AdapterNumericsOther, refusal
from shared.adapters.weights import check_tensors, hash_finite, read_header


def check_folder(folder: AdapterFolder, base: BaseDescription) -> AdapterManifest:
    """Check everything about the adapter in an opened folder. Blocks, and reads every byte once.

    Raises AdapterRefused, AdapterNameInvalid.
    """
    name = adapter_name(folder.adapter)
    origin_bytes, value = folder.read_json(ORIGIN)
    check_base(name, value.get("base_digest"), value.get("numerics"), base.digest, base.numerics)
    origin = read_origin(name, value)
    config_bytes, options = folder.read_json(CONFIG)
    config = LoraConfig(name, options, base.linears)
    with folder.opened(WEIGHTS, config.most_bytes()) as (weights, size):
        header = read_header(name, weights, size)
        check_tensors(name, header, config.all_shapes())
        sha256 = hash_finite(name, weights, header)
    tensors = sorted(header.tensors, key=lambda tensor: tensor.name)
    return AdapterManifest(
        name=name,
        files=(
            _file(CONFIG, config_bytes),
            AdapterFile(name=WEIGHTS, sha256=sha256, size_bytes=size),
            _file(ORIGIN, origin_bytes),
        ),
        method="dora" if config.is_dora else "lora",
        rank=config.rank,
        alpha=config.alpha,
        targets=config.targets,
        tensors=tuple(AdapterTensor(name=each.name, dtype=each.dtype, shape=each.shape) for each in tensors),
        origin=origin,
    )


def origin_of(name: str, directory: Path) -> Origin:
    """What a folder says it was trained on, which leads to the base to check it against. Raises AdapterRefused."""
    with AdapterFolder(name, directory) as folder:
        return read_origin(name, folder.read_json(ORIGIN)[1])


def check_base(name: str, base_digest: object, numerics: object, served_digest: str, served_numerics: str) -> None:
    """Said against served. Raises AdapterRefused."""
    if base_digest != served_digest:
        reason = f"it belongs to base {base_digest!r}, this worker serves {served_digest!r}"
        raise refusal(AdapterBaseOther, name, ORIGIN, base_digest, reason)
    if numerics != served_numerics:
        reason = f"its base had numerics {numerics!r}, this worker's has {served_numerics!r}"
        raise refusal(AdapterNumericsOther, name, ORIGIN, numerics, reason)


def _file(name: FileName, content: bytes) -> AdapterFile:
    return AdapterFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
