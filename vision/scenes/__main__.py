"""Write synthetic scenes with Korean questions, and say what they hold.

How to run: `python -m vision.scenes --seed 0 --n 1000 --out DIR [--size 96] [--split train] [--contact-sheet]`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from vision.scenes.contact_sheet import ROWS_SHOWN, write_contact_sheet
from vision.scenes.dataset import MAX_SIZE, MIN_SIZE, SPLITS, Example, examples, write
from vision.scenes.report import Report


def main(arguments: list[str] | None = None) -> int:
    """Write the data set. Returns: 1 if a family is out of balance, else 0."""
    parser = argparse.ArgumentParser(prog="python -m vision.scenes", description="Scenes with Korean questions.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--n", type=int, required=True, help="how many scenes")
    parser.add_argument("--out", type=Path, required=True, help="a folder; files of the same names are written anew")
    parser.add_argument("--size", type=int, default=MIN_SIZE, help=f"pixels, {MIN_SIZE} to {MAX_SIZE}")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--contact-sheet", action="store_true", help="contact_sheet.png (.html without a Korean font)")
    options = parser.parse_args(arguments)
    if not MIN_SIZE <= options.size <= MAX_SIZE:
        parser.error(f"--size {options.size} is outside {MIN_SIZE} to {MAX_SIZE}")
    if options.n < 1:
        parser.error(f"--n {options.n} must be at least 1")

    report = Report()
    shown: list[Example] = []
    made: Iterator[Example] = write(options.out, examples(options.seed, options.n, options.split, options.size))
    for example in made:
        report.add(example)
        if len(shown) < ROWS_SHOWN:
            shown.append(example)
    print(report.text())
    if options.contact_sheet:
        print(f"contact sheet: {write_contact_sheet(options.out, shown)}")
    return 0 if report.is_balanced() else 1


if __name__ == "__main__":
    sys.exit(main())
