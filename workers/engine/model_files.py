"""The files of a model: found, checked and named by their digest before anything heavy is loaded.

Only safetensors weights and plain JSON or text beside them are ever opened; code in a model's directory is not run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from shared.errors import ModelError
from shared.model_digest import DIGESTED, TEXT_DIGESTED

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_UNDIGESTED = ("generation_config.json", "added_tokens.json")
_DOWNLOADED = (*DIGESTED, *_UNDIGESTED, "*.safetensors.index.json")
WITHOUT_WEIGHTS = (*TEXT_DIGESTED, *_UNDIGESTED)  # of a model that another server runs


def model_error(source: str, reason: str) -> ModelError:
    """One line, whatever the reason looked like."""
    reason = " ".join(reason.split())
    return ModelError(f"model {source}: {reason}", model=source, reason=reason)


def locate(source: str, patterns: tuple[str, ...] = _DOWNLOADED) -> Path:
    """The directory of a model given as a directory or a Hugging Face hub id (downloaded into the hub's own cache, as
    far as `patterns` name its files).

    Raises ModelError.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
        raise model_error(source, "no such directory")
    try:
        return Path(snapshot_download(source, allow_patterns=list(patterns)))
    except HFValidationError as error:
        raise model_error(source, "neither a directory nor a hub id (owner/name)") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise model_error(source, f"no such directory, and the hub did not give it ({type(error).__name__})") from error


def check_files(source: str, directory: Path) -> None:
    """Say in one line what is missing or broken. Raises ModelError."""
    config = _json(source, directory / "config.json")
    model_type = str(config.get("model_type"))
    if model_type not in CONFIG_MAPPING:
        hint = "; it brings its own code, which is never run" if config.get("auto_map") else ""
        raise model_error(source, f"its model_type {model_type!r} is not known to transformers{hint}")
    kind = CONFIG_MAPPING[model_type]
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING and kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise model_error(source, f"its model_type {model_type!r} is not a causal language model")
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        raise model_error(source, "no .safetensors weights (other formats are not opened)")
    for file in weights:
        try:
            with safe_open(file, framework="pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise model_error(source, f"{file.name} is damaged or cut short ({error})") from error
    index = directory / "model.safetensors.index.json"
    if index.exists():
        for name in sorted(set(_json(source, index).get("weight_map", {}).values())):
            if not (directory / name).is_file():
                raise model_error(source, f"{name} is missing")
    if not any((directory / name).is_file() for name in _TOKENIZER_FILES):
        raise model_error(source, f"no tokenizer ({', '.join(_TOKENIZER_FILES)})")


def _json(source: str, file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise model_error(source, f"no {file.name}") from error
    except (OSError, ValueError) as error:
        raise model_error(source, f"{file.name} is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise model_error(source, f"{file.name} is not a JSON object")
    return value


def open_tokenizer(source: str, directory: Path) -> PreTrainedTokenizerBase:
    """Raises ModelError."""
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise model_error(source, f"its tokenizer cannot be opened ({shortened(error)})") from error


def shortened(error: Exception) -> str:
    """One line of whatever a library said."""
    return " ".join(str(error).split())[:200] or type(error).__name__
