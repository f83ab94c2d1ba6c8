"""Why an adapter is refused: one class for each rule, so that a page can say it in the reader's language.

Facts of all: adapter, file, value (what was found there) and reason (one English line, for logs and commands). They
hold what a stranger wrote, cut to a length and without control characters: escape them like any other text.
"""

from __future__ import annotations

from typing import TypeVar

from shared.errors import AdapterRefused

_MOST_CHARACTERS = 300


class AdapterFileKind(AdapterRefused):
    """Not a plain file: a link, a directory, a pipe, a device."""

    code = "adapter_file_kind"


class AdapterFileUnknown(AdapterRefused):
    """A name that no adapter's file has. Files that can hold code are among these."""

    code = "adapter_file_unknown"


class AdapterFileMissing(AdapterRefused):
    code = "adapter_file_missing"


class AdapterFileTooLarge(AdapterRefused):
    """`value`: the most bytes it may have."""

    code = "adapter_file_too_large"


class AdapterFileChanged(AdapterRefused):
    """Its bytes are not those that were checked, or that the manifest names."""

    code = "adapter_file_changed"


class AdapterFileUnreadable(AdapterRefused):
    """The system refuses to read it, or it is not the JSON it should be."""

    code = "adapter_file_unreadable"


class AdapterHeaderBroken(AdapterRefused):
    """A safetensors file that is cut short, overlaps itself, or is something else."""

    code = "adapter_header_broken"


class AdapterOptionRefused(AdapterRefused):
    """An option of PEFT's that we do not serve, or not with this value. `value`: option and value."""

    code = "adapter_option_refused"


class AdapterNumberRefused(AdapterRefused):
    """A rank or alpha out of range. `value`: which and what."""

    code = "adapter_number_refused"


class AdapterTargetsRefused(AdapterRefused):
    """`target_modules` is no list, or names what the base has not."""

    code = "adapter_targets_refused"


class AdapterBaseOther(AdapterRefused):
    """It was trained on another base. `value`: that one's digest."""

    code = "adapter_base_other"


class AdapterNumericsOther(AdapterRefused):
    """It was trained on a base whose weights are kept otherwise. `value`: how."""

    code = "adapter_numerics_other"


class AdapterTensorMissing(AdapterRefused):
    code = "adapter_tensor_missing"


class AdapterTensorUnknown(AdapterRefused):
    """A tensor of no targeted layer."""

    code = "adapter_tensor_unknown"


class AdapterTensorShape(AdapterRefused):
    code = "adapter_tensor_shape"


class AdapterTensorDtype(AdapterRefused):
    code = "adapter_tensor_dtype"


class AdapterNotFinite(AdapterRefused):
    """NaN or infinity. `value`: in which tensor."""

    code = "adapter_not_finite"


class AdapterManifestBroken(AdapterRefused):
    """A manifest that is not what we write, or does not have the digest it goes by."""

    code = "adapter_manifest_broken"


R = TypeVar("R", bound=AdapterRefused)


def refusal(kind: type[R], adapter: str, file: str, value: object, reason: str) -> R:
    """`reason` is made one line that names the file, whatever was found looked like."""
    adapter, file, reason = line(adapter), line(file), line(reason)
    if file not in reason:
        reason = f"{file}: {reason}"
    return kind(f"adapter {adapter}: {reason}", adapter=adapter, file=file, value=line(str(value)), reason=reason)


def line(text: str) -> str:
    """What may be shown and stored: no control characters, no lone surrogates, not too long."""
    shown = "".join(character if character.isprintable() else " " for character in text[: 4 * _MOST_CHARACTERS])
    return " ".join(shown.split())[:_MOST_CHARACTERS]
