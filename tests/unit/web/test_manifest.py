"""What a browser needs to install the chat: a manifest, icons of the sizes it names, and the colours of the themes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from PIL import Image

from web.assets import Assets

_WEB = Path(__file__).resolve().parents[3] / "web"
_MANIFEST = json.loads((_WEB / "static/app.webmanifest").read_text(encoding="utf-8"))
_PAPER = re.search(r"--paper: light-dark\((#\w+), (#\w+)\)", (_WEB / "static/css/theme.css").read_text())


def test_every_icon_is_there_in_the_size_it_is_said_to_have() -> None:
    sizes = {icon["sizes"] for icon in _MANIFEST["icons"] if icon["type"] == "image/png"}
    assert {"192x192", "512x512"} <= sizes

    for icon in _MANIFEST["icons"]:
        file = _WEB / "static" / icon["src"]
        assert 0 < Assets().size_bytes(icon["src"]) < 8_000
        if icon["type"] == "image/png":
            with Image.open(file) as picture:
                assert "{}x{}".format(*picture.size) == icon["sizes"]
    assert any(icon.get("purpose") == "maskable" for icon in _MANIFEST["icons"])


def test_the_colours_around_the_page_are_those_of_the_themes() -> None:
    base = (_WEB / "templates/base.html").read_text()
    assert _PAPER is not None

    assert _MANIFEST["theme_color"] == _MANIFEST["background_color"] == _PAPER[1]
    assert [*re.findall(r'name="theme-color".*content="(#\w+)"', base)] == [*_PAPER.groups()]


def test_it_begins_at_the_chat_and_holds_all_pages() -> None:
    assert (_MANIFEST["start_url"], _MANIFEST["scope"], _MANIFEST["display"]) == ("/chat", "/", "standalone")
