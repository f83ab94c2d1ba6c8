"""The files, made from a seed: bombs, truncated, encrypted, with macros, of a wrong type, of too many pages, with names
that lead out of their archive; of every kind that is read."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tests.documents import PAGES, docx_of, image_file, pdf_of, scan_of, zip_of

_BODY = "word/document.xml"
_ARCHIVES = ((".docx", _BODY), (".hwpx", "Contents/section0.xml"))
_PNG = b"\x89PNG\r\n\x1a\n"
_UNPACKED = 101 << 20
_ENTITIES = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10}">' for at in range(1, 12))
_LAUGHS = f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY e0 "하">{_ENTITIES}]><w:document>&e11;</w:document>'


class Hostile(NamedTuple):
    family: str
    name: str
    data: bytes


def hostile_files(seed: int) -> list[Hostile]:
    """Always the same 200 for a seed."""
    chance = random.Random(seed)
    files = [Hostile(family, f"{family}-{at}{end}", data) for family, end, at, data in _made(chance)]
    assert len(files) == 200, len(files)
    return files


def _made(chance: random.Random) -> Iterator[tuple[str, str, int, bytes]]:
    whole, word, scan = pdf_of(PAGES), docx_of({"하천": PAGES[1]}), scan_of(PAGES[0])
    png, jpeg = image_file(scan, "PNG"), image_file(scan, "JPEG")
    for at in range(20):
        yield "truncated", ".pdf", at, whole[: chance.randrange(9, len(whole) // 3)]
        yield "truncated", ".docx", at, word[: chance.randrange(4, len(word) - 40)]
        yield "truncated", ".png", at, png[: chance.randrange(9, len(png) // 2)]
        yield "truncated", ".jpg", at, jpeg[: chance.randrange(4, 300)]
        yield "wrong_type", chance.choice((".pdf", ".docx", ".png", ".txt")), at, _foreign(chance, at)
    for at in range(10):
        yield "noise", ".pdf", at, b"%PDF-1.7\n" + chance.randbytes(2000)
        yield "noise", ".png", at, _PNG + chance.randbytes(2000)
        yield "encrypted", ".pdf", at, _encrypted_pdf(chance)
        end, body = _ARCHIVES[at % len(_ARCHIVES)]
        yield "encrypted", end, at, _flagged(zip_of({body: chance.randbytes(100)}))
        yield "macro", end, at, zip_of({body: b"<w:", f"{'x/' * at}vbaProject.bin": b"Attribute"})
        yield "path_traversal", end, at, zip_of({body: b"<w:", f"{'../' * (at + 1)}etc/passwd": b"root"})
    for at in range(6):
        end, body = _ARCHIVES[at % len(_ARCHIVES)]
        yield "bomb", end, at, zip_of({body: b"\0" * (_UNPACKED // (at + 1)), **_padding(at)})
        yield "bomb", ".png", at, _png_bomb(20_000 + 7_000 * at)
        yield "many_pages", ".pdf", at, _pages_of((501, 1000, 2000, 5000, 10_000, 10_001)[at])
        yield "many_pages", ".txt", at, ("말씀. " * (400_000 + 1000 * at)).encode()
        yield "no_text", ".html", at, b"<div>" * 10_000 * (at + 1)
        yield "no_text", ".txt", at, b" \n\t" * (at + 1)
    for at, (end, body) in enumerate(_ARCHIVES):
        yield "entities", end, at, zip_of({body: _LAUGHS.encode()})
    yield "many_files", ".docx", 0, zip_of({_BODY: b"", **{f"{number}": b"" for number in range(2000)}})
    yield "page_tree_cycle", ".pdf", 0, _cycle()


def _foreign(chance: random.Random, at: int) -> bytes:
    first = (b"GIF89a", b"\x7fELF", b"MZ", b"PK\x03\x04", b"Rar!\x1a\x07", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\0")
    return first[at % len(first)] + b"\0" + chance.randbytes(500)


def _encrypted_pdf(chance: random.Random) -> bytes:
    """Its password is none that anybody knows."""
    keys = [chance.randbytes(32).hex() for _ in range(2)]
    lock = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{keys[0]}> /U <{keys[1]}> /P -4 >> /ID [<00> <00>]"
    return pdf_of(PAGES).replace(b"trailer << ", f"trailer << {lock} ".encode())


def _flagged(archive: bytes) -> bytes:
    """As if its files asked for a password: the lowest flag, in both of a file's headers."""
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = archive.index(mark) + place
        archive = archive[:at] + b"\x01" + archive[at + 1 :]
    return archive


def _padding(at: int) -> dict[str, bytes]:
    """So that all together unpack to as much."""
    return {f"word/media/{number}.bin": b"\0" * (_UNPACKED // (at + 1)) for number in range(at)}


def _png_bomb(side: int) -> bytes:
    """A few bytes that say they are a square of this side."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return _PNG + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")


def _pages_of(count: int) -> bytes:
    """One page, which the tree names so often."""
    whole = pdf_of(PAGES[:1])
    kids = whole[whole.index(b"/Kids [") + 7 : whole.index(b"] >>\nendobj", whole.index(b"/Kids ["))]
    return whole.replace(b"/Count 1 /Kids [" + kids, b"/Count %d /Kids [" % count + b" ".join([kids] * count))


def _cycle() -> bytes:
    """A tree of pages that is its own child."""
    out = io.BytesIO(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n")
    out.seek(0, io.SEEK_END)
    out.write(b"2 0 obj\n<< /Type /Pages /Count 3 /Kids [2 0 R 2 0 R 2 0 R] >>\nendobj\n")
    out.write(b"trailer << /Root 1 0 R >>\n%%EOF")
    return out.getvalue()
