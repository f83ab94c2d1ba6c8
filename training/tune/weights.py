"""Models and tokenizers out of folders, in the numerics that workers serve them in. Nothing is fetched, and no code
that a model brings is run.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from vision.decoder import model_kind
from vision.quantised import fit_to_cpu, quantisation
from vision.reader import HEAD_FILE

_BESIDE_EYES = ("preprocessor_config.json", "processor_config.json", HEAD_FILE)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def chosen_device(name: str) -> str:
    """cpu or cuda; `auto` is a GPU, if there is one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def open_weights(directory: Path, *, numerics: str, dtype: str, device: str, is_encoder: bool = False) -> Any:
    """A model without adapters. `numerics`: "none", "nf4", "int8"; `dtype` is of what is not quantised."""
    options: dict[str, Any] = {}
    if numerics != "none":
        place = torch.cuda.current_device() if device == "cuda" else device  # each process has its own
        options = {"quantization_config": quantisation(numerics, _DTYPES[dtype]), "device_map": {"": place}}
    kind: Any = AutoModelForMaskedLM if is_encoder else model_kind(_config(directory))
    model: Any = kind.from_pretrained(
        directory,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=_DTYPES[dtype],
        **options,
    )
    fit_to_cpu(model, is_trained=True)
    return model if options else model.to(device)


def _config(directory: Path) -> Any:
    return AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


def open_tokenizer(directory: Path) -> Any:
    """A base's tokenizer, with something to pad with."""
    tokenizer: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def save_model(model: Any, tokenizer: Any, base: Path, folder: Path, tensors: Mapping[str, Any] | None = None) -> None:
    """A whole model, with what the eyes of the base it was made of need beside it. `tensors`: its weights, if they are
    not in it."""
    model.save_pretrained(folder, **({} if tensors is None else {"state_dict": tensors}))
    tokenizer.save_pretrained(folder)
    for name in _BESIDE_EYES:
        if (base / name).is_file():
            shutil.copy(base / name, folder)


def with_adapter(model: Any, folder: Path) -> Any:
    """A model with a written adapter beside it, as whoever serves it computes."""
    return peft.PeftModel.from_pretrained(model, folder).eval()
