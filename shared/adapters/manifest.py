"""What identifies an adapter: its manifest, and the SHA-256 of that in canonical form, written `name@12hex`.

Everything in it follows from the adapter's name and files alone, so the same folder is the same version whoever pushes
it, and whoever has the files can compute the digest again. When it was pushed, and by whom, stands elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.adapters.base import DtypeName
from shared.adapters.folder import FILES, ORIGIN, FileName
from shared.adapters.refusals import AdapterManifestBroken, refusal
from shared.errors import AdapterNameInvalid

_NAME = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"  # in model names (`nunmal:wallpaper`), routes and documents
_SHORT = 12  # hexadecimal digits of the digest
_VERSION = re.compile(rf"({_NAME})@([0-9a-f]{{{_SHORT}}})")
_MOST_MESSAGE = 300

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(max_length=200)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AdapterFile(_Value):
    name: FileName  # no path, ever
    sha256: Sha256
    size_bytes: int = Field(ge=0)


class AdapterTensor(_Value):
    name: str
    dtype: DtypeName
    shape: tuple[int, ...]


class Origin(BaseModel):
    """What nunmal.json says. Training writes more than we know of, and may: unknown keys are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    base_digest: Text
    numerics: Literal["none", "nf4", "int8"]
    created_at: datetime | None = None
    recipe: dict[str, JsonValue] = {}
    metrics: dict[str, float] = {}  # of groups within groups: `held_out.task.loss`
    data_digest: Text | None = None
    commit: Text | None = None
    seed: int | None = None

    @field_validator("metrics", mode="before")
    @classmethod
    def _flat(cls, value: object) -> object:
        return dict(_numbers(value)) if isinstance(value, dict) else value


class AdapterManifest(_Value):
    version: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=rf"^{_NAME}$")]
    files: tuple[AdapterFile, ...]  # each of FILES once, in that order
    method: Literal["lora", "dora"]
    rank: int = Field(ge=1)  # the greatest of its layers
    alpha: float
    targets: tuple[str, ...]
    tensors: tuple[AdapterTensor, ...]  # by name
    origin: Origin

    @model_validator(mode="after")
    def _has_each_file_once(self) -> Self:
        if tuple(file.name for file in self.files) != FILES:
            raise ValueError(f"files must be {', '.join(FILES)}")
        return self

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def sha256s(self) -> dict[str, str]:
        return {file.name: file.sha256 for file in self.files}

    def canonical(self) -> bytes:
        """The same manifest is always the same bytes."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def version_id(self) -> str:
        """`name@12hex`"""
        return f"{self.name}@{self.digest[:_SHORT]}"


def _numbers(group: dict[str, Any], place: str = "", depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Groups within groups by their path; one deeper than any of training's is left, and refused as no number."""
    for name, value in group.items():
        if isinstance(value, dict) and depth:
            yield from _numbers(value, f"{place}{name}.", depth - 1)
        else:
            yield f"{place}{name}", value


def read_manifest(content: bytes, digest: str) -> AdapterManifest:
    """From the store. Raises AdapterManifestBroken if it is not the one of this digest."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise refusal(AdapterManifestBroken, "?", "manifest", digest, f"the manifest's digest is not {digest}")
    try:
        return AdapterManifest.model_validate_json(content)
    except ValidationError as error:
        raise _broken("?", "manifest", error) from error


def read_origin(adapter: str, value: dict[str, Any]) -> Origin:
    """Of nunmal.json. Raises AdapterManifestBroken."""
    try:
        return Origin.model_validate(value)
    except ValidationError as error:
        raise _broken(adapter, ORIGIN, error) from error


def adapter_name(text: str) -> str:
    """Raises AdapterNameInvalid."""
    if not re.fullmatch(_NAME, text):
        raise AdapterNameInvalid(
            "an adapter's name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins and ends with a letter or digit"
        )
    return text


def name_of(version_id: str) -> str:
    """The name in `name@12hex`. Raises AdapterNameInvalid."""
    if not (match := _VERSION.fullmatch(version_id)):
        raise AdapterNameInvalid("a version is written name@digest, with 12 hexadecimal digits")
    return match[1]


def _broken(adapter: str, file: str, error: ValidationError) -> AdapterManifestBroken:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "it"
    return refusal(AdapterManifestBroken, adapter, file, place, f"{file}: {place}: {first['msg'][:_MOST_MESSAGE]}")
