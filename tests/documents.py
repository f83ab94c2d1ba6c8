"""Documents for tests: small files of every kind, made as they are needed."""

from __future__ import annotations

import io
import shutil
import subprocess
import unicodedata
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

import docx
from docx.document import Document as DocxDocument
from PIL import Image, ImageDraw, ImageFont

PAGES = (
    "눈꽃 마을의 도서관은 1987년에 문을 열었다. 열람실은 모두 세 곳이다.",
    "버들 하천의 길이는 42킬로미터이다. 상류에는 수달이 산다.",
    "솔바람 축제는 해마다 시월에 열린다. 입장료는 칠천 원이다.",
)


def pdf_of(pages: Sequence[str]) -> bytes:
    """A PDF of text: standard letters, and Hangul by a font that draws nothing but says what its codes mean."""
    objects = _Objects()
    cmap = objects.add_stream(_TO_UNICODE)
    descriptor = objects.add(
        "<< /Type /FontDescriptor /FontName /Nunmal /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0"
        " /Ascent 880 /Descent -120 /CapHeight 700 /StemV 80 >>"
    )
    letters = objects.add(
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Nunmal /DW 1000 /CIDToGIDMap /Identity"
        " /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
        f" /FontDescriptor {descriptor} 0 R >>"
    )
    font = objects.add(
        "<< /Type /Font /Subtype /Type0 /BaseFont /Nunmal /Encoding /Identity-H"
        f" /DescendantFonts [{letters} 0 R] /ToUnicode {cmap} 0 R >>"
    )
    parent = len(objects.bodies) + 2 * len(pages) + 1
    made = []
    for text in pages:
        lines = [line for paragraph in text.split("\n") for line in _wrapped(paragraph)]
        shown = " ".join(f"<{line.encode('utf-16-be').hex()}> Tj T*" for line in lines)
        body = objects.add_stream(f"BT /F1 12 Tf 18 TL 72 760 Td {shown} ET".encode())
        made.append(
            objects.add(
                f"<< /Type /Page /Parent {parent} 0 R /MediaBox [0 0 595 842] /Contents {body} 0 R"
                f" /Resources << /Font << /F1 {font} 0 R >> >> >>"
            )
        )
    tree = objects.add(f"<< /Type /Pages /Count {len(made)} /Kids [{' '.join(f'{each} 0 R' for each in made)}] >>")
    assert tree == parent
    return objects.file(objects.add(f"<< /Type /Catalog /Pages {tree} 0 R >>"))


def scan_of(text: str, pixels: int = 24, *, family: str = "Noto Sans CJK KR", width: int = 1000) -> Image.Image:
    """A page of text as a picture, in letters `pixels` high."""
    font = korean_font(pixels, family)
    lines = [line for paragraph in text.split("\n") for line in _fitting(paragraph, font, width - 120)]
    image = Image.new("L", (width, round(120 + 1.6 * pixels * len(lines))), 255)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((60, 60 + 1.6 * pixels * number), line, font=font, fill=0)
    return image


def korean_font(pixels: int, family: str = "Noto Sans CJK KR") -> ImageFont.FreeTypeFont:
    """Of those that infra/services.sh ensures."""
    found = subprocess.run(
        [str(shutil.which("fc-match")), "-f", "%{file}\n%{index}", family], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return ImageFont.truetype(found[0], pixels, index=int(found[1]) & 0xFFFF)


def image_file(image: Image.Image, kind: str) -> bytes:
    """`kind`: as Pillow names it (PNG, JPEG, PDF)."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def docx_of(headings: dict[str, str], table: Sequence[Sequence[str]] = ()) -> bytes:
    """Headings with a paragraph each, and a table at the end."""
    document = docx.Document()
    for title, text in headings.items():
        document.add_heading(title, level=2)
        document.add_paragraph(text)
    if table:
        made = document.add_table(rows=len(table), cols=len(table[0]))
        for row, values in zip(made.rows, table, strict=True):
            for cell, value in zip(row.cells, values, strict=True):
                cell.text = value
    return _saved(document)


def hwpx_of(headings: dict[str, str], table: Sequence[Sequence[str]] = ()) -> bytes:
    """As Hangul writes it: headings have the style of an outline, and a table stands within a paragraph."""
    first, second = "http://www.hancom.co.kr/hwpml/2011/paragraph", "http://www.hancom.co.kr/hwpml/2011/section"
    rows = "".join(f"<hp:tr>{''.join(map(_hwpx_cell, row))}</hp:tr>" for row in table)
    body = "".join(f"{_hwpx_paragraph(title, 3)}{_hwpx_paragraph(text)}" for title, text in headings.items())
    if table:
        body += f'<hp:p styleIDRef="0"><hp:run><hp:tbl>{rows}</hp:tbl></hp:run></hp:p>'
    head = (
        '<hh:head xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head"><hh:refList><hh:styles>'
        '<hh:style id="0" name="바탕글" engName="Normal"/><hh:style id="3" name="개요 2" engName="Outline 2"/>'
        "</hh:styles></hh:refList></hh:head>"
    )
    return zip_of(
        {
            "mimetype": b"application/hwp+zip",
            "Contents/header.xml": head.encode(),
            "Contents/section0.xml": f'<hs:sec xmlns:hs="{second}" xmlns:hp="{first}">{body}</hs:sec>'.encode(),
        }
    )


def zip_of(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def decomposed(text: str) -> str:
    """As some machines name their files."""
    return unicodedata.normalize("NFD", text)


class _Objects:
    """The numbered objects of a PDF in the making."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def add(self, body: str | bytes) -> int:
        self.bodies.append(body.encode() if isinstance(body, str) else body)
        return len(self.bodies)

    def add_stream(self, data: bytes) -> int:
        return self.add(b"<< /Length %d >>\nstream\n" % len(data) + data + b"\nendstream")

    def file(self, root: int) -> bytes:
        out, places = b"%PDF-1.7\n", []
        for number, body in enumerate(self.bodies, 1):
            places.append(len(out))
            out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
        table = b"".join(b"%010d 00000 n \n" % place for place in places)
        head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
        end = b"trailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, root, len(out))
        return out + head + table + end


_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Nunmal def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
1 beginbfrange <0000> <FFFF> <0000> endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end"""
_LINE_LETTERS = 36


def _wrapped(text: str) -> list[str]:
    """Lines that fit on the page, cut between words."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _LINE_LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines that are no wider, cut between words."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and font.getlength(f"{lines[-1]} {word}") > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _hwpx_paragraph(text: str, style: int = 0) -> str:
    lines = "<hp:lineBreak/>".join(escape(line) for line in text.split("\n"))
    return f'<hp:p styleIDRef="{style}"><hp:run><hp:t>{lines}</hp:t></hp:run></hp:p>'


def _hwpx_cell(text: str) -> str:
    return f"<hp:tc><hp:subList>{_hwpx_paragraph(text)}</hp:subList></hp:tc>"


def _saved(document: DocxDocument) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()
