"""Folders that somebody hostile might push: what each writes into a sound one, the rule that refuses it, and why."""

from __future__ import annotations

import json
import math
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS
from tests.adapter_folders import SAID, SHAPES, TRAINED, framed, header_of, safetensors

Spoil = Callable[[Path], object]
FIRST, *_OTHERS = SHAPES
DATA = 4 * sum(map(math.prod, SHAPES.values()))


def weights(content: bytes) -> Spoil:
    return lambda directory: (directory / WEIGHTS).write_bytes(content)


def text(file: str, content: str) -> Spoil:
    return lambda directory: (directory / file).write_text(content)


def configure(**changes: Any) -> Spoil:
    return text(CONFIG, json.dumps(SAID | changes))


def train(**changes: Any) -> Spoil:
    return text(ORIGIN, json.dumps(TRAINED | changes))


def header(change: Callable[[dict[str, Any]], object], data: int = DATA) -> Spoil:
    entries = header_of(SHAPES)
    change(entries)
    return weights(framed(json.dumps(entries).encode(), bytes(data)))


def entry(data: int = DATA, **changes: Any) -> Spoil:
    return header(lambda entries: entries[FIRST].update(changes), data)


def without(file: str) -> Spoil:
    return lambda directory: (directory / file).unlink()


def link(directory: Path) -> None:
    (directory / WEIGHTS).rename(directory.parent / "elsewhere.safetensors")
    (directory / WEIGHTS).symlink_to(directory.parent / "elsewhere.safetensors")


def link_out(directory: Path) -> None:
    (directory / ORIGIN).unlink()
    (directory / ORIGIN).symlink_to("/etc/passwd")


def pipe(directory: Path) -> None:
    (directory / CONFIG).unlink()
    os.mkfifo(directory / CONFIG)


def unix_socket(directory: Path) -> None:
    (directory / CONFIG).unlink()
    here = Path.cwd()
    os.chdir(directory)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(CONFIG)
    finally:
        os.chdir(here)


def sparse(directory: Path) -> None:
    with (directory / WEIGHTS).open("r+b") as file:
        file.truncate(1 << 40)


def many(directory: Path) -> None:
    for number in range(200):
        (directory / f"README-{number}.md").touch()
    (directory / "README-0.md").unlink()


def cut(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes((directory / WEIGHTS).read_bytes()[:-1])


def doubled_key() -> bytes:
    entries = json.dumps(header_of(SHAPES))
    return framed((entries[:-1] + f', "{FIRST}": {json.dumps(header_of(SHAPES)[FIRST])}}}').encode(), bytes(DATA))


class Exploding:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.getpid, ())  # it does no harm: Python's audit tells that a pickle was opened


HOSTILE: dict[str, tuple[Spoil, str, str]] = {
    # files
    "a pickle": (
        lambda at: (at / "adapter_model.bin").write_bytes(pickle.dumps(Exploding())),
        "adapter_file_unknown",
        "can hold code",
    ),
    "a pickle by another name": (weights(pickle.dumps([Exploding()] * 99)), "adapter_header_broken", "header"),
    "a trainer's pickle": (text("training_args.bin", ""), "adapter_file_unknown", "can hold code"),
    "code": (text("modeling.py", "raise SystemExit"), "adapter_file_unknown", "can hold code"),
    "a file of nobody": (text("tokenizer.json", "{}"), "adapter_file_unknown", "none of the files"),
    "a name in other letters": (text("ADAPTER_CONFIG.JSON", "{}"), "adapter_file_unknown", "none of the files"),
    "a name of several lines": (text("a\nnunmal: all is well", ""), "adapter_file_unknown", "none of the files"),
    "a name that is no text": (
        lambda at: (at / os.fsdecode(b"\xff.json")).touch(),
        "adapter_file_unknown",
        "none of the files",
    ),
    "many files": (many, "adapter_file_unknown", "none of the files"),
    "a link": (link, "adapter_file_kind", "a link"),
    "a link to the system's files": (link_out, "adapter_file_kind", "a link"),
    "a link to nowhere": (lambda at: (at / "README.md").symlink_to("/nowhere"), "adapter_file_kind", "a link"),
    "a pipe": (pipe, "adapter_file_kind", "a pipe"),
    "a socket": (unix_socket, "adapter_file_kind", "a socket"),
    "a directory": (lambda at: (at / "checkpoint-1").mkdir(), "adapter_file_kind", "a directory"),
    "no configuration": (without(CONFIG), "adapter_file_missing", CONFIG),
    "no weights": (without(WEIGHTS), "adapter_file_missing", WEIGHTS),
    "no origin": (without(ORIGIN), "adapter_file_missing", ORIGIN),
    "a terabyte of nothing": (sparse, "adapter_file_too_large", "larger than"),
    "too much JSON": (text(ORIGIN, " " * (300 << 10)), "adapter_file_too_large", "larger than 262144"),
    # JSON
    "not JSON": (text(CONFIG, "{"), "adapter_file_unreadable", "not valid JSON"),
    "not UTF-8": (lambda at: (at / ORIGIN).write_bytes(b"\xff\xfe\xfd"), "adapter_file_unreadable", "not valid JSON"),
    "nested without end": (text(CONFIG, "[" * 200_000), "adapter_file_unreadable", "not valid JSON"),
    "a list": (text(ORIGIN, "[]"), "adapter_file_unreadable", "not a JSON object"),
    "a key twice": (text(CONFIG, '{"r": 2, "r": 999}'), "adapter_file_unreadable", "stands there twice"),
    "NaN in JSON": (configure(lora_alpha=float("nan")), "adapter_file_unreadable", "no finite number"),
    "an endless number": (text(CONFIG, '{"r": 1e999}'), "adapter_file_unreadable", "no finite number"),
    "a number of a million digits": (
        text(CONFIG, '{"r": 1%s}' % ("0" * 200_000)),
        "adapter_file_unreadable",
        "not valid",
    ),
    "half a character": (text(CONFIG, '{"\\ud800": 1}'), "adapter_file_unreadable", "not valid JSON"),
    # the base
    "another base": (train(base_digest="f00"), "adapter_base_other", "belongs to base 'f00'"),
    "no base": (train(base_digest=None), "adapter_base_other", "belongs to base None"),
    "other numerics": (train(numerics="nf4"), "adapter_numerics_other", "'nf4'"),
    "metrics that are none": (train(metrics={"loss": "low"}), "adapter_manifest_broken", "metrics.loss"),
    # the configuration
    "another method": (configure(peft_type="LOHA"), "adapter_option_refused", "peft_type is 'LOHA'"),
    "another task": (configure(task_type="SEQ_CLS"), "adapter_option_refused", "task_type"),
    "rank 4096": (configure(r=4096), "adapter_number_refused", "at most 256"),
    "rank 0": (configure(r=0), "adapter_number_refused", "r is 0"),
    "rank of a layer": (configure(rank_pattern={"q": 300}), "adapter_number_refused", "rank_pattern.q"),
    "a pattern as a layer's name": (configure(rank_pattern={"(a+)+": 2}), "adapter_option_refused", "only names"),
    "endless alpha": (configure(lora_alpha=10**400), "adapter_number_refused", "lora_alpha"),
    "a pattern of targets": (configure(target_modules="(.+)+q"), "adapter_targets_refused", "must be a list"),
    "a pattern in the list": (configure(target_modules=["(.+)+q"]), "adapter_targets_refused", "no linear layer"),
    "targets without end": (configure(target_modules=["q"] * 20_000), "adapter_targets_refused", "20000 names"),
    "patterns without end": (
        configure(rank_pattern={f"q{number}": 2 for number in range(9_000)}),
        "adapter_option_refused",
        "9000 entries",
    ),
    "all layers": (configure(target_modules="all-linear"), "adapter_targets_refused", "must be a list"),
    "the output layer": (configure(target_modules=["q", "lm_head"]), "adapter_targets_refused", "'lm_head'"),
    "auto_mapping": (configure(auto_mapping={"parent_library": "evil"}), "adapter_option_refused", "auto_mapping"),
    "replicated layers": (configure(layer_replication=[[0, 9]]), "adapter_option_refused", "layer_replication"),
    "whole modules": (configure(modules_to_save=["lm_head"]), "adapter_option_refused", "modules_to_save"),
    "biases": (configure(bias="all"), "adapter_option_refused", "bias is 'all'"),
    "a start that moves the base": (configure(init_lora_weights="pissa"), "adapter_option_refused", "changes the base"),
    "an option of next year": (configure(something_new=1), "adapter_option_refused", "something_new"),
    # the weights
    "empty": (weights(b""), "adapter_header_broken", "damaged or cut short"),
    "cut short": (cut, "adapter_header_broken", "damaged or cut short"),
    "bytes at the end": (header(lambda _: None, DATA + 8), "adapter_header_broken", "damaged or cut short"),
    "an endless header": (weights((1 << 62).to_bytes(8, "little") + b"{}"), "adapter_header_broken", "is larger than"),
    "a header past the end": (
        weights((1 << 20).to_bytes(8, "little") + b"{}"),
        "adapter_header_broken",
        "does not end",
    ),
    "a header that is a list": (weights(framed(b"[]", b"")), "adapter_header_broken", "no JSON object"),
    "a tensor twice": (weights(doubled_key()), "adapter_header_broken", "stands there twice"),
    "many tensors": (
        weights(framed(json.dumps(header_of({str(number): (0,) for number in range(20_001)})).encode(), b"")),
        "adapter_header_broken",
        "at most 20000",
    ),
    "metadata that is none": (
        header(lambda entries: entries.update(__metadata__={"a": 1})),
        "adapter_header_broken",
        "__metadata__",
    ),
    "overlapping tensors": (
        header(lambda entries: entries[_OTHERS[0]].update(data_offsets=[0, 32])),
        "adapter_header_broken",
        "overlap",
    ),
    "offsets past the end": (entry(data_offsets=[DATA, DATA + 48]), "adapter_header_broken", "lie between"),
    "offsets below the beginning": (entry(data_offsets=[-48, 0]), "adapter_header_broken", "lies at"),
    "offsets the wrong way round": (entry(data_offsets=[48, 0]), "adapter_header_broken", "-48 bytes"),
    "offsets that are no numbers": (entry(data_offsets=[False, True]), "adapter_header_broken", "lies at"),
    "a shape that overflows": (entry(shape=[1 << 40, 1 << 40]), "adapter_header_broken", "not what F32"),
    "a negative shape": (entry(shape=[-2, -6]), "adapter_header_broken", "the shape"),
    "a shape of a hundred dimensions": (entry(shape=[1] * 100), "adapter_header_broken", "the shape"),
    "a length for another shape": (entry(shape=[2, 7]), "adapter_header_broken", "not what F32"),
    "more than a tensor has": (entry(code="import os"), "adapter_header_broken", "alone"),
    "whole numbers": (entry(dtype="I8"), "adapter_tensor_dtype", "'I8'"),
    "a dtype that is none": (entry(dtype=["F32"]), "adapter_tensor_dtype", "F32"),
    "a missing tensor": (
        weights(safetensors({name: SHAPES[name] for name in _OTHERS})),
        "adapter_tensor_missing",
        FIRST,
    ),
    "an extra tensor": (weights(safetensors(SHAPES | {"lm_head.weight": (1, 1)})), "adapter_tensor_unknown", "lm_head"),
    "another shape": (
        weights(safetensors(SHAPES | {FIRST: (2, 7)})),
        "adapter_tensor_shape",
        "(2, 7), expected (2, 6)",
    ),
    "a tensor's name of two lines": (
        weights(safetensors(SHAPES | {"a\nb": (1,)})),
        "adapter_header_broken",
        "the name",
    ),
    "NaN": (weights(safetensors(SHAPES, fill=math.nan)), "adapter_not_finite", "not finite"),
    "infinity": (weights(safetensors(SHAPES, fill=-math.inf)), "adapter_not_finite", "not finite"),
    "NaN in bfloat16": (weights(safetensors(SHAPES, "BF16", math.nan)), "adapter_not_finite", "not finite"),
    "infinity in float16": (weights(safetensors(SHAPES, "F16", math.inf)), "adapter_not_finite", "not finite"),
}
