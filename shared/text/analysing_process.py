"""Takes texts apart, one list after another: `python -m shared.text.analysing_process`, started by analyser.py.

A process of its own, because Kiwi holds the interpreter's lock for as long as it loads and works. Lines of JSON on
stdin and stdout: [what of them, a list of texts]; for each of them a list of stems, as [text, start, end], or of
morphemes, as [form, tag, start, end].
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from shared.text.morphemes import analysed, stems

_ANALYSES: dict[str, Callable[[str], list[Any]]] = {"stems": stems, "morphemes": analysed}


def main() -> None:
    for line in sys.stdin.buffer:
        what, texts = json.loads(line)
        said = [[astuple(each) for each in _ANALYSES[what](text)] for text in texts]
        sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
