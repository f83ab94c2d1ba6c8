"""How a model is named: SHA-256 over its files, and over how its weights are kept. Workers serve under this name, and
training writes it into adapters, so both take it from here. No tensors: bytes only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

TEXT_DIGESTED = ("config.json", "tokenizer*", "special_tokens_map.json", "vocab.*", "merges.txt", "*.jinja")
DIGESTED = ("*.safetensors", *TEXT_DIGESTED, "*processor_config.json")  # the last: how pictures are prepared
_BLOCK_BYTES = 1 << 20


def files_digest(directory: Path, patterns: tuple[str, ...] = DIGESTED) -> str:
    """SHA-256 over names and contents: by default of weights, configuration, tokenizer and chat template."""
    files = {file for pattern in patterns for file in directory.glob(pattern) if file.is_file()}
    total = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        total.update(f"{file.name} {file_digest(file)}\n".encode())
    return total.hexdigest()


def file_digest(file: Path) -> str:
    """SHA-256 of one file's content, read in blocks."""
    content = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            content.update(block)
    return content.hexdigest()


def served_digest(files: str, numerics: str) -> str:
    """Of a model whose files have this digest: the same digest promises the same tokens, and quantised weights give
    others. `numerics`: "none", "nf4", "int8"."""
    return files if numerics == "none" else hashlib.sha256(f"{files} {numerics}".encode()).hexdigest()
