"""One page to look at a data set: pictures with boxes, beside them questions and answers.

A PNG if a font with Hangul is on this machine, else an HTML page that says the same.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vision.scenes.dataset import Example

ROWS_SHOWN = 12
_SIDE = 224  # pixels of a picture on the sheet
_WIDTH = 1180
_LINE = 27
_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.otf",
    "NanumGothic.ttf",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "UnDotum.ttf",
)
_KOREAN_FACE = {"NotoSansCJK-Regular.ttc": 1}  # the first face of this collection is Japanese


def hangul_font(pixels: int) -> ImageFont.FreeTypeFont | None:
    """A font that has Hangul, found by its usual file names. None: there is none."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, pixels, index=_KOREAN_FACE.get(name, 0))
        except OSError:
            continue
    return None


def write_contact_sheet(directory: Path, examples: Sequence[Example]) -> Path:
    """Write `contact_sheet.png` or `contact_sheet.html`; returns its path. Raises: OSError: it cannot be written."""
    font = hangul_font(16)
    if font is None:
        path = directory / "contact_sheet.html"
        path.write_text(contact_page(examples), encoding="utf-8")
        return path
    row_height = max(_SIDE, _LINE * max(len(e.questions) for e in examples)) + 12
    sheet = Image.new("RGB", (_WIDTH, row_height * len(examples)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, example in enumerate(examples):
        top = row * row_height + 6
        sheet.paste(_with_boxes(example), (6, top))
        for line, question in enumerate(example.questions):
            text = f"{question.question}  →  {question.answer}"
            pen.text((_SIDE + 24, top + line * _LINE), _fitted(text, font, _WIDTH - _SIDE - 36), "black", font)
    path = directory / "contact_sheet.png"
    sheet.save(path)
    return path


def contact_page(examples: Sequence[Example]) -> str:
    """The sheet as HTML, beside the pictures folder."""
    rows = []
    for example in examples:
        lines = "".join(
            f"<li>{html.escape(q.question)} <b>{html.escape(q.answer)}</b> {html.escape(q.sentence)}</li>"
            for q in example.questions
        )
        picture = html.escape(example.scene.picture)
        rows.append(f'<tr><td><img src="{picture}" width="{_SIDE}" alt=""></td><td><ul>{lines}</ul></td></tr>')
    table = f"<table>{''.join(rows)}</table>"
    return f'<!doctype html><html lang="ko"><meta charset="utf-8"><title>그림</title>{table}</html>\n'


def _with_boxes(example: Example) -> Image.Image:
    factor = _SIDE / example.scene.size
    picture = Image.fromarray(example.pixels).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for thing in example.scene.objects:
        left, top, right, bottom = (edge * factor for edge in thing.box)
        pen.rectangle((left, top, right - 1, bottom - 1), outline="white")
    return picture


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Cut in the middle, so that the answer is still seen."""
    if font.getlength(text) <= width:
        return text
    question, arrow, answer = text.partition("  →  ")
    while font.getlength(f"{question}… {arrow}{answer}") > width:
        question = question[:-1]
    return f"{question}… {arrow}{answer}"
