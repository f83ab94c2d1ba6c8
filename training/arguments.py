"""The command line that the training scripts share: a recipe, the data folder, and how long.

Not a configuration: what a run *is* stands in its recipe; these options say where and how long.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from shared.settings import load_settings


@dataclass(frozen=True)
class Arguments:
    """What the person asked for."""

    recipe: Path
    data_dir: Path
    minutes: float | None  # stop cleanly after this many minutes of wall clock
    decay_minutes: float | None  # let the learning rate fall during the last of them
    threads: int
    show: bool  # print samples instead of training


def parse(description: str | None, *, can_show: bool = False) -> Arguments:
    """Read the command line. `--data-dir` defaults to NUNMAL_DATA_DIR (shared/settings.py)."""
    return _arguments(_parser(description, can_show).parse_args())


def parse_stage(description: str | None, *, can_show: bool = False) -> tuple[Arguments, str]:
    """Read the command line of a training that has stages. Returns: the arguments and the stage's name."""
    parser = _parser(description, can_show)
    parser.add_argument("--stage", required=True)
    found = parser.parse_args()
    return _arguments(found), str(found.stage)


def _parser(description: str | None, can_show: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--decay-minutes", type=float, default=None)
    parser.add_argument("--threads", type=int, default=1)
    if can_show:
        parser.add_argument("--show", action="store_true", help="print samples and end, what is learned in green")
    parser.set_defaults(show=False)
    return parser


def _arguments(found: argparse.Namespace) -> Arguments:
    data_dir = found.data_dir or load_settings().data_dir
    return Arguments(found.recipe, data_dir, found.minutes, found.decay_minutes, found.threads, found.show)
