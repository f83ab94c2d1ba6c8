"""Becomes Tesseract, without the rights it does not need: `python -m workers.ingest.ocr.process TESSERACT ARGUMENTS`.

It has a bound of memory, no network and no file to write, and sees pixels that our own parser has drawn, never a
byte of somebody's file.
"""

from __future__ import annotations

import os
import sys

from workers.ingest.parsing.confinement import confine


def main() -> None:
    confine(may_start_programs=True)
    os.putenv("OMP_THREAD_LIMIT", "1")  # a worker keeps one core busy
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - what our worker found


if __name__ == "__main__":
    main()
