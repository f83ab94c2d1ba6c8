"""What a browser loads of our own stays small."""

from __future__ import annotations

from pathlib import Path

_STATIC = Path(__file__).resolve().parents[3] / "web/static"
_MOST_BYTES = 60_000


def test_scripts_and_style_sheets_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in _STATIC.rglob("*") if path.suffix in (".js", ".css")}

    assert sum(sizes.values()) <= _MOST_BYTES, sizes
