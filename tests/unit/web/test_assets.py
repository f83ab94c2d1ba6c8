"""What a browser loads of our own stays small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from web.assets import Assets

_ROOT = Path(__file__).resolve().parents[3] / "web"
_STATIC = _ROOT / "static"
_MOST_BYTES = 60_000
_ASSET = re.compile(r"asset\('((?:css|js)/[^']+)'\)")
_IMPORT = re.compile(r'^(?:@import|import\b[^"]*) ?"(?:\./)?([^"]+)"', re.MULTILINE)
_TEMPLATES = sorted(path.name for path in (_ROOT / "templates").glob("*.html"))


def _with_imports(file: Path) -> set[Path]:
    inner = (file.parent / name for name in _IMPORT.findall(file.read_text(encoding="utf-8")))
    return {file}.union(*(_with_imports(each) for each in inner))


def _loaded(template: str) -> set[Path]:
    """All scripts and style sheets of a page: those of every page, and its own."""
    names = {
        name for each in ("base.html", template) for name in _ASSET.findall((_ROOT / "templates" / each).read_text())
    }
    return set[Path]().union(*(_with_imports(_STATIC / name) for name in names))


@pytest.mark.parametrize("template", _TEMPLATES)
def test_scripts_and_style_sheets_of_a_page_are_small(template: str) -> None:
    assets = Assets()
    sizes = {path.name: assets.size_bytes(path.relative_to(_STATIC).as_posix()) for path in _loaded(template)}

    assert sum(sizes.values()) <= _MOST_BYTES, sizes


def test_every_script_and_style_sheet_is_loaded_by_a_page() -> None:
    loaded = set[Path]().union(*(_loaded(template) for template in _TEMPLATES))

    assert loaded == {path for path in _STATIC.rglob("*") if path.suffix in (".js", ".css")}


def test_what_browsers_load_says_the_same_without_comments_and_indentation(tmp_path: Path) -> None:
    script = "// Why.\nexport class A {\n  #at = `a  // b`;\n  get #b() { return /[/*]/; }\n}\n"
    (tmp_path / "page.js").write_text(script)
    (tmp_path / "page.css").write_text("/* Why. */\na  b { width: calc(1px + 2px); content: '/* x */'; }\n")
    served = Assets(tmp_path)

    assert served.size_bytes("page.js") == len("export class A{#at=`a  // b`;get#b(){return/[/*]/;}}")
    assert served.size_bytes("page.css") == len("a b{width:calc(1px + 2px);content:'/* x */'}")
