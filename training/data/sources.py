"""The table of sources that may enter weights we publish, and the gate in front of them.

It holds each source's licence and the words of attribution that go into NOTICE. It is not a
list of all data a person may use at home: anything that forbids commercial use or changes, asks
for the same licence, or states no licence is left out on purpose, and cannot be loaded.

How to run: `load_chat("songys_chatbot", data_dir)` and `load_prose("ms_cpp_docs", data_dir)`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FREE_LICENCES = frozenset({"MIT", "Apache-2.0", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "MIT OR Apache-2.0"})


class SourceError(ValueError):
    """A source that may not be trained on: unknown, or not free enough."""


@dataclass(frozen=True)
class Source:
    """One file of the data folder, with the right to use it."""

    name: str
    path: str  # relative to the data folder
    kind: Literal["chat", "prose", "markdown", "reviews"]
    licence: str  # SPDX
    origin: str  # repository @ commit
    holder: str  # who is to be named

    def __post_init__(self) -> None:
        if self.licence not in FREE_LICENCES:
            raise SourceError(
                f"source {self.name!r} has licence {self.licence!r}; weights we publish need one of "
                f"{sorted(FREE_LICENCES)}"
            )
        if self.path.startswith("eval/"):
            raise SourceError(f"source {self.name!r} lies in eval/, which is never trained on")


def _docs(name: str, licence: str, origin: str, holder: str) -> Source:
    return Source(name, f"docs/{name}/docs.jsonl.gz", "markdown", licence, origin, holder)


def _microsoft(name: str, origin: str) -> Source:
    path = f"pretrain/{name}/text.jsonl.gz"
    return Source(name, path, "prose", "CC-BY-4.0", origin, "Microsoft Corporation and contributors")


def _chat(name: str, licence: str, origin: str, holder: str) -> Source:
    return Source(name, f"sft/{name}/train.jsonl.gz", "chat", licence, origin, holder)


_TABLE = (
    _chat("songys_chatbot", "MIT", "songys/Chatbot_data @ 4cf20d13fc", "songys, 2018"),
    _chat("welfare_qa", "MIT", "ash-hun/Welfare-QA @ 20b118450c", "Choi JaeHun, 2024"),
    _chat("mwp_math", "MIT", "jkc-ai/mwp-korean-data-2021 @ 34b954346f", "jkc-ai, 2021"),
    Source(
        "nsmc_reviews",
        "pretrain/nsmc_reviews/train.jsonl.gz",
        "reviews",
        "CC0-1.0",
        "e9t/nsmc @ cc0670e872",
        "Lucy Park (e9t)",
    ),
    _microsoft("ms_aspnet_docs", "aspnet/Docs.ko-kr @ b73eba368e"),
    _microsoft("ms_cpp_docs", "MicrosoftDocs/cpp-docs.ko-kr @ 4dfcde2107"),
    _microsoft("ms_powershell_docs", "MicrosoftDocs/powerShell-Docs.ko-kr @ 8fe5407331"),
    _microsoft("ms_visualstudio_docs", "MicrosoftDocs/visualstudio-docs.ko-kr @ b9fcae6300"),
    _microsoft("ms_windows_uwp", "MicrosoftDocs/windows-uwp.ko-kr @ 35c4b41259"),
    _docs("fastapi_ko", "MIT", "fastapi/fastapi @ c3f316b7e8", "Sebastián Ramírez, 2018"),
    _docs("hf_course_ko", "Apache-2.0", "huggingface/course @ 16af566753", "Hugging Face and contributors"),
    _docs("interview_beginner", "MIT", "JaeYeopHan/Interview_Question_for_Beginner @ 26c959a31f", "Jbee, 2017"),
    _docs(
        "ms_architecture_center",
        "CC-BY-4.0",
        "woozet-cookbooks/architecture-center.ko-kr @ e6eb3d6493",
        "Microsoft Corporation and contributors",
    ),
    _docs(
        "ms_learn",
        "CC-BY-4.0",
        "moreal/learn-pr.ko-KR @ e65220d5fc",
        "Microsoft Corporation and contributors",
    ),
    _docs(
        "pytorch_ko",
        "BSD-3-Clause",
        "PyTorchKorea/tutorials-kr @ 84b7db6e02",
        "PyTorch & PyTorch Korea User Group contributors, 2017-2024",
    ),
    _docs("react_ko", "CC-BY-4.0", "reactjs/ko.react.dev @ 2e8c873c3c", "React documentation contributors"),
    _docs("rust_book_ko", "MIT OR Apache-2.0", "rust-kr/doc.rust-kr.org @ 1d07d28a63", "The Rust Project Developers"),
    _docs("tech_interview", "MIT", "gyoogle/tech-interview-for-developer @ 7ce8752799", "Gyuseok Kim, 2019"),
    _docs("tensorflow_ko", "Apache-2.0", "tensorflow/docs-l10n @ 7cb584af65", "The TensorFlow Authors, 2020"),
    _docs(
        "typescript_ko",
        "MIT",
        "typescript-kr/typescript-kr.github.io @ 3fad5f8dab",
        "typescript-kr contributors, 2018",
    ),
    _docs(
        "vue_ko",
        "CC-BY-4.0",
        "vuejs-translations/docs-ko @ 6e646acb56",
        "Yuxi (Evan) You and Vue documentation contributors, 2019-present",
    ),
    _docs("webpack_ko", "CC-BY-4.0", "line/webpack.kr @ 8cea95c50c", "webpack.kr contributors"),
)

SOURCES: dict[str, Source] = {source.name: source for source in _TABLE}


def source(name: str) -> Source:
    """Look a source up. Raises: SourceError: it is not in the table."""
    try:
        return SOURCES[name]
    except KeyError:
        raise SourceError(f"source {name!r} is not in the table of free sources; known: {sorted(SOURCES)}") from None


def read_rows(name: str, data_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield the raw rows of a free source.

    Raises: SourceError: the source is not free, or its file is missing."""
    path = data_dir / source(name).path
    if not path.is_file():
        raise SourceError(f"source {name!r}: no file {path}; set --data-dir to the data folder")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
