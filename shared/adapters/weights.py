"""A safetensors file, read without a tensor library: its header, whether it fits, and whether every number is finite.

    8 bytes   n, the header's length (little-endian)
    n bytes   JSON: {name: {"dtype", "shape", "data_offsets": [begin, end]}}, and perhaps "__metadata__"
    the rest  the tensors' bytes

Everything a reader could be tricked with is refused: a header longer than the file, bytes of two tensors or of none, a
length that does not go with the shape, keys that stand there twice. Source of the format: huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from shared.adapters.base import DtypeName
from shared.adapters.folder import WEIGHTS, json_object, read_exactly
from shared.adapters.refusals import (
    AdapterFileUnreadable,
    AdapterHeaderBroken,
    AdapterNotFinite,
    AdapterTensorDtype,
    AdapterTensorMissing,
    AdapterTensorShape,
    AdapterTensorUnknown,
    refusal,
)

MOST_HEADER_BYTES = 4 << 20  # names and shapes

_LENGTH_BYTES = 8
_MOST_TENSORS = 20_000
_MOST_DIMENSIONS = 2
_MOST_NAME = 512  # characters
_PIECE_BYTES = 4 << 20
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class _Dtype:
    width: int  # bytes
    exponent: int  # its bits: all set in NaN and infinity, in nothing else


_DTYPES: dict[DtypeName, _Dtype] = {
    "F32": _Dtype(4, 0x7F80_0000),
    "BF16": _Dtype(2, 0x7F80),
    "F16": _Dtype(2, 0x7C00),
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    name: str
    dtype: DtypeName
    shape: tuple[int, ...]
    begin: int  # bytes after the header
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    content: bytes  # with its length
    tensors: tuple[TensorEntry, ...]  # as they lie in the file, one right after the other


def read_header(adapter: str, file: BinaryIO, size: int) -> Header:
    """`file` is at its beginning and has `size` bytes. Raises AdapterRefused."""
    if size < _LENGTH_BYTES:
        _broken(adapter, size, f"{size} bytes are no file of this kind")
    length = read_exactly(adapter, WEIGHTS, file, _LENGTH_BYTES)
    header_bytes = int.from_bytes(length, "little")
    if header_bytes > MOST_HEADER_BYTES:
        reason = f"the header of {WEIGHTS} is larger than {MOST_HEADER_BYTES} bytes"
        raise refusal(AdapterHeaderBroken, adapter, WEIGHTS, header_bytes, reason)
    if header_bytes > size - _LENGTH_BYTES:
        _broken(adapter, header_bytes, "its header does not end")
    content = read_exactly(adapter, WEIGHTS, file, header_bytes)
    if content[:1] != b"{":
        _broken(adapter, content[:8], "its header is no JSON object")
    try:
        entries = json_object(adapter, WEIGHTS, content)
    except AdapterFileUnreadable as error:
        _broken(adapter, error.facts["value"], f"its header: {error.facts['reason']}")
    _check_metadata(adapter, entries.pop(_METADATA, {}))
    if len(entries) > _MOST_TENSORS:
        _broken(adapter, len(entries), f"{len(entries)} tensors, at most {_MOST_TENSORS} are taken")
    tensors = sorted(
        (_entry(adapter, *item) for item in entries.items()), key=lambda tensor: (tensor.begin, tensor.end)
    )
    _check_layout(adapter, tensors, size - _LENGTH_BYTES - header_bytes)
    return Header(length + content, tuple(tensors))


def check_tensors(adapter: str, header: Header, expected: Mapping[str, tuple[int, ...]]) -> None:
    """The file has exactly these tensors, in these shapes. Raises AdapterRefused."""
    found = {tensor.name: tensor for tensor in header.tensors}
    for name, shape in expected.items():
        if name not in found:
            raise refusal(AdapterTensorMissing, adapter, WEIGHTS, name, f"{name} is missing")
        if found[name].shape != shape:
            reason = f"{name} has shape {found[name].shape}, expected {shape}"
            raise refusal(AdapterTensorShape, adapter, WEIGHTS, f"{name} {found[name].shape}", reason)
    if others := sorted(found.keys() - expected.keys()):
        reason = f"{len(others)} tensors fit no targeted layer, first {others[0]!r}"
        raise refusal(AdapterTensorUnknown, adapter, WEIGHTS, others[0], reason)


def hash_finite(adapter: str, file: BinaryIO, header: Header) -> str:
    """The SHA-256 of the whole file, whose header was just read, if every number in it is finite.

    Reads on from the header, a few megabytes at a time. Raises AdapterRefused.
    """
    import numpy as np  # here alone, so that no page and no command waits for it

    digest = hashlib.sha256(header.content)
    for tensor in header.tensors:
        dtype, left = _DTYPES[tensor.dtype], tensor.end - tensor.begin
        while left:
            piece = read_exactly(adapter, WEIGHTS, file, min(left, _PIECE_BYTES))
            digest.update(piece)
            left -= len(piece)
            numbers = np.frombuffer(piece, f"<u{dtype.width}")
            if ((numbers & dtype.exponent) == dtype.exponent).any():
                reason = f"{tensor.name} has values that are not finite"
                raise refusal(AdapterNotFinite, adapter, WEIGHTS, tensor.name, reason)
    return digest.hexdigest()


def _entry(adapter: str, name: str, value: Any) -> TensorEntry:
    if not (0 < len(name) <= _MOST_NAME and name.isascii() and name.isprintable()):
        _broken(adapter, name[:_MOST_NAME], f"the name {name[:_MOST_NAME]!r}")
    if not (isinstance(value, dict) and value.keys() == {"dtype", "shape", "data_offsets"}):
        _broken(adapter, name, f"{name} has not dtype, shape and data_offsets alone")
    shape, offsets = value["shape"], value["data_offsets"]
    dtype = next((known for known in _DTYPES if known == value["dtype"]), None)
    if dtype is None:
        reason = f"{name} is {value['dtype']!r}, expected one of {', '.join(_DTYPES)}"
        raise refusal(AdapterTensorDtype, adapter, WEIGHTS, f"{name} {value['dtype']!r}", reason)
    if not (_are_counts(shape) and len(shape) <= _MOST_DIMENSIONS):
        _broken(adapter, name, f"{name} has the shape {shape!r}")
    if not (_are_counts(offsets) and len(offsets) == 2):
        _broken(adapter, name, f"{name} lies at {offsets!r}")
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[dtype].width:
        _broken(adapter, name, f"{name} has {end - begin} bytes, which is not what {dtype} {shape} takes")
    return TensorEntry(name, dtype, tuple(shape), begin, end)


def _are_counts(value: object) -> bool:
    """A list of whole numbers from 0 up that other readers can hold, too."""
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 1 << 48 for number in value)


def _check_layout(adapter: str, tensors: list[TensorEntry], data_bytes: int) -> None:
    """One right after the other, from the first byte to the last."""
    ends = [0, *(tensor.end for tensor in tensors)]
    begins = [*(tensor.begin for tensor in tensors), data_bytes]
    for place, (end, begin) in enumerate(zip(ends, begins, strict=True)):
        if begin != end:
            what = tensors[place].name if place < len(tensors) else "the end"
            how = "overlap" if begin < end else "lie between tensors"
            _broken(adapter, what, f"{abs(begin - end)} bytes before {what} {how}, or are missing")


def _check_metadata(adapter: str, metadata: object) -> None:
    if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        _broken(adapter, _METADATA, f"{_METADATA} is not an object of texts")


def _broken(adapter: str, value: object, detail: str) -> NoReturn:
    reason = f"{WEIGHTS} is damaged or cut short ({detail})"
    raise refusal(AdapterHeaderBroken, adapter, WEIGHTS, value, reason)
