"""Every pair of colours that text is set in meets WCAG AA, in the light and in the dark theme."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_THEME = (Path(__file__).resolve().parents[3] / "web/static/css/theme.css").read_text("utf-8")
_COLOURS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", _THEME)
}
_TEXT = 4.5
_EDGE = 3.0


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        *((ink, ground, _TEXT) for ink in ("ink", "ink-quiet", "indigo") for ground in ("paper", "paper-raised")),
        *((ink, "paper-sunken", _TEXT) for ink in ("ink", "ink-quiet", "indigo")),
        *((ink, "indigo-wash", _TEXT) for ink in ("ink", "indigo")),
        *((ink, "code", _TEXT) for ink in ("ink", "ink-quiet", "indigo", "pine", "plum", "ochre", "persimmon")),
        *((ground, "paper", _TEXT) for ground in ("persimmon", "pine")),
        ("on-indigo", "indigo", _TEXT),
        ("on-indigo", "indigo-strong", _TEXT),
        ("on-persimmon", "persimmon", _TEXT),
        ("line-strong", "paper-raised", _EDGE),
    ],
)
def test_text_can_be_read(theme: str, ink: str, ground: str, least: float) -> None:
    assert _contrast(_COLOURS[ink][theme], _COLOURS[ground][theme]) >= least
