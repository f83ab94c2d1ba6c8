"""Rows of known training data that give a test away: found once by training/data/leakage.py, written down, and left out
of every fine-tuning, so that no run has to look through all tests again. It knows only what stands in its list.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

_LIST = Path(__file__).with_name("known_leaks.yaml")


@cache
def known_leaks() -> frozenset[str]:
    """The `id` of every such row."""
    found: dict[str, list[int]] = yaml.safe_load(_LIST.read_text(encoding="utf-8"))
    return frozenset(f"{source}-{number}" for source, numbers in found.items() for number in numbers)
