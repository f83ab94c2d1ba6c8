"""Takes texts apart, one list after another: `python -m shared.text.analysing_process`, started by analyser.py.

A process of its own, because Kiwi holds the interpreter's lock for as long as it loads and works. Lines of JSON on
stdin and stdout: a list of texts; for each of them a list of stems, as [text, start, end].
"""

from __future__ import annotations

import json
import sys

from shared.text.morphemes import stems


def main() -> None:
    for line in sys.stdin.buffer:
        said = [[(stem.text, stem.start, stem.end) for stem in stems(text)] for text in json.loads(line)]
        sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
