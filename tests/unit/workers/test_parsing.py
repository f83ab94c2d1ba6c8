"""From bytes to pages, parser by parser, without the process around them."""

from __future__ import annotations

import base64

import pytest
from pypdfium2 import PdfDocument

from shared.document_errors import (
    DocumentBroken,
    DocumentEmpty,
    DocumentEncrypted,
    DocumentHasMacros,
    DocumentKindUnknown,
    DocumentUnpacksTooFar,
    DocumentWithoutText,
)
from shared.document_kinds import kind_of, tidy_name
from shared.documents import DocumentKind, marked, packed, unpacked
from tests.documents import PAGES, decomposed, docx_of, image_file, pdf_of, scan_of, zip_of
from workers.ingest.parsing import archive
from workers.ingest.parsing.archive import require_harmless
from workers.ingest.parsing.docx import docx_blocks
from workers.ingest.parsing.html import html_blocks
from workers.ingest.parsing.illustrated import illustrated_pages
from workers.ingest.parsing.markdown import markdown_blocks, markdown_pieces
from workers.ingest.parsing.parts import PART_CHARACTERS, parts_of
from workers.ingest.parsing.pdf import open_pdf, pdf_page
from workers.ingest.parsing.plain import decoded, plain_blocks


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.txt", pdf_of(["x"]), DocumentKind.PDF),
        ("a.pdf", docx_of({"가": "나"}), DocumentKind.DOCX),
        ("읽기.MD", "# 가".encode(), DocumentKind.MARKDOWN),
        ("a.htm", b"<p>x", DocumentKind.HTML),
        ("a", b"\xef\xbb\xbf\n<!DOCTYPE html><p>x", DocumentKind.HTML),
        ("a.txt", "옛 글".encode("cp949"), DocumentKind.TEXT),
        ("a.txt", "새 글".encode("utf-16"), DocumentKind.TEXT),
    ],
)
def test_a_file_is_what_its_bytes_say(name: str, data: bytes, kind: DocumentKind) -> None:
    assert kind_of(name, data) is kind


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"", DocumentEmpty),
        (b"GIF89a\x01\x00\x01\x00", DocumentKindUnknown),
        (zip_of({"a.txt": b"no document"}), DocumentKindUnknown),
        (b"\x7fELF\x00", DocumentKindUnknown),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), DocumentEncrypted),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00old Word", DocumentKindUnknown),
    ],
)
def test_other_files_are_refused_whatever_they_are_called(data: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        kind_of("a.pdf", data)


def test_names_are_nfc_and_lead_nowhere() -> None:
    assert tidy_name(decomposed("../../보고서\n최종.pdf")) == "보고서 최종.pdf"
    assert tidy_name("C:\\문서\\글.txt") == "글.txt"
    assert tidy_name("긴" * 500 + ".pdf").endswith("긴.pdf")


def test_words_of_a_pdf_stand_where_its_picture_shows_them() -> None:
    document = open_pdf(pdf_of(PAGES))
    page = pdf_page(document, 2)

    assert page.text == PAGES[1]
    assert page.picture.startswith(b"\xff\xd8\xff") and page.width == 1000
    (line,) = marked(page.words, page.text.index("42"), page.text.index("이다"))
    assert page.text[line.start : line.end] == "42킬로미터이다."
    assert 0.1 < line.left < line.right < 1.0 and 0.08 < line.top < line.bottom < 0.12


def test_boxes_of_one_line_become_one_and_lines_stay_apart() -> None:
    page = pdf_page(open_pdf(pdf_of([PAGES[0]])), 1)

    first, second = marked(page.words, 0, len(page.text))
    assert page.text[first.start : first.end].endswith("세")
    assert page.text[second.start : second.end] == "곳이다."
    assert second.top > first.top
    assert [word[:2] for word in unpacked(packed(page.words))] == [word[:2] for word in page.words]


def test_decomposed_hangul_of_a_pdf_is_composed_with_its_boxes() -> None:
    page = pdf_page(open_pdf(pdf_of([decomposed("한글 문서")])), 1)

    assert page.text == "한글 문서"
    assert [page.text[word.start : word.end] for word in page.words] == ["한글", "문서"]


@pytest.mark.parametrize("data", [b"%PDF-1.7\nnothing", pdf_of(PAGES)[:700]])
def test_a_damaged_pdf_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentBroken):
        open_pdf(data)


def test_a_pdf_that_asks_for_a_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard security handler with a check that no password passes."""
    plain = pdf_of(["x"])
    lock = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00> <00>] /Size" % (
        b"41" * 32,
        b"42" * 32,
    )
    with pytest.raises(DocumentEncrypted):
        open_pdf(plain.replace(b"trailer << /Size", b"trailer << " + lock))


def test_word_files_keep_headings_and_tables() -> None:
    data = docx_of({"하천": PAGES[1]}, [["길이", "42"]])

    assert [block for block in docx_blocks(data) if block] == ["## 하천", PAGES[1], "길이 | 42"]


@pytest.mark.parametrize(
    ("files", "refusal"),
    [
        ({"word/vbaProject.bin": b"x"}, DocumentHasMacros),
        ({"../../etc/passwd": b"x"}, DocumentBroken),
        ({"/etc/passwd": b"x"}, DocumentBroken),
        ({"word/document.xml": b"0" * (2 << 20)}, DocumentUnpacksTooFar),
        ({f"{number}": b"" for number in range(2001)}, DocumentUnpacksTooFar),
    ],
)
def test_archives_are_looked_at_before_they_are_opened(
    files: dict[str, bytes], refusal: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(refusal):
        require_harmless(zip_of(files))


def test_an_encrypted_or_damaged_archive_is_refused() -> None:
    data = zip_of({"word/document.xml": b"x"})
    with pytest.raises(DocumentBroken):
        require_harmless(data[:-30])
    at = data.index(b"PK\x01\x02") + 8
    with pytest.raises(DocumentEncrypted):
        require_harmless(data[:at] + b"\x01" + data[at + 1 :])


def test_html_loses_scripts_and_keeps_headings() -> None:
    page = "<head><title>x</title><style>p{}</style></head><h2>제목 <b>하나</b></h2><p>안녕 <i>하세</i>요"
    page += "<script>f()</script><p>둘"

    assert list(html_blocks(page.encode())) == ["## 제목 하나", "안녕 하세요", "둘"]


def test_code_keeps_its_lines_and_a_fence_that_it_does_not_end_itself() -> None:
    page = "<p>앞<pre><code># 주석\n  if <b>a</b>:\n</code></pre>뒤<p>끝"

    assert list(html_blocks(page.encode())) == ["앞", "```\n# 주석\n  if a:\n```", "뒤", "끝"]
    assert list(markdown_blocks("~~~\n```\n가\n```\n~~~".encode())) == ["````\n```\n가\n```\n````"]
    assert list(markdown_blocks(b"```\n```\n")) == [""]


def test_markdown_loses_its_marks_and_keeps_headings_and_tables() -> None:
    text = "# 제목 *하나*\n\n눈이 **온다**.\n그친다.\n\n- ![그림](a.png) 점\n"
    text += "\n| 가 | 나 |\n|--|--|\n| 1 | 2 |\n\n```\n# 코드\n```\n"

    blocks = list(markdown_blocks(text.encode()))
    assert blocks == ["# 제목 하나", "눈이 온다.\n그친다.", "그림 점", "가 | 나", "1 | 2", "```\n# 코드\n```"]


def test_korean_text_of_any_age_is_read() -> None:
    for data in ("글\r\n말".encode(), "글\n말".encode("utf-16"), "글\r말".encode("cp949"), "\ufeff글\n말".encode()):
        assert decoded(data).lstrip("\ufeff") == "글\n말"
    with pytest.raises(DocumentBroken):
        decoded(b"\xff\xff\xff")


def test_a_long_text_is_cut_into_parts_and_nothing_is_lost() -> None:
    paragraphs = [f"{number}번째 문단입니다. " * 20 for number in range(40)]
    pages = list(parts_of(plain_blocks("\n\n".join(paragraphs).encode())))

    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert len(pages) > 1 and all(len(page.text) <= PART_CHARACTERS for page in pages)
    assert "".join("".join(page.text for page in pages).split()) == "".join("".join(paragraphs).split())


def test_text_is_nfc() -> None:
    (page,) = parts_of(plain_blocks(decomposed("한글 문서").encode()))

    assert page.text == "한글 문서"


def test_the_small_pdfs_of_the_tests_are_whole() -> None:
    assert len(PdfDocument(pdf_of(PAGES))) == 3


def test_code_that_is_cut_is_code_in_every_part() -> None:
    code = "\n\n".join(f"# 주석 {number}\n줄 = {number}" for number in range(400))
    pages = list(parts_of(markdown_blocks(f"앞\n\n```\n{code}\n```\n\n## 제목\n\n뒤".encode())))

    assert len(pages) > 2 and all(len(page.text) <= PART_CHARACTERS for page in pages)
    for page in pages:
        assert page.text.count("```") % 2 == 0
    assert pages[1].text.startswith("```\n") and pages[-1].text.endswith("## 제목\n\n뒤")


def _with_data(text: str, *pictures: bytes) -> bytes:
    for picture in pictures:
        text = text.replace("@", f"data:image/png;base64,{base64.b64encode(picture).decode()}", 1)
    return text.encode()


def test_a_picture_in_markdown_is_a_page_behind_the_block_it_stands_in() -> None:
    image = image_file(scan_of("가"), "PNG")
    data = _with_data("# 제목\n\n앞 ![설명](@) 글\n\n뒤\n\n| 가 | ![나](@) |\n|---|---|\n\n끝", image, image)

    count, pages = illustrated_pages(markdown_pieces(data), 1, 50)
    found = list(pages)
    assert count == len(found) == 5
    assert [page.text for page in found] == ["# 제목\n\n앞 설명 글", "", "뒤\n\n가 | 나", "", "끝"]
    assert [page.number for page in found] == [1, 2, 3, 4, 5]
    assert [bool(page.picture) for page in found] == [page.scan is not None for page in found]
    assert [bool(page.picture) for page in found] == [False, True, False, True, False]
    _, later = illustrated_pages(markdown_pieces(data), 4, 50)
    assert [page.number for page in later] == [4, 5]
    assert list(markdown_blocks(data)) == ["# 제목", "앞 설명 글", "뒤", "가 | 나", "끝"]


def test_pictures_that_are_none_cost_markdown_nothing_else() -> None:
    image = image_file(scan_of("가"), "PNG")
    bomb = image[:16] + (60_000).to_bytes(4) * 2 + image[24:]
    cut = image[: len(image) // 2]
    data = _with_data("가 ![](@)\n\n나 ![](@)\n\n다 ![](@)\n\n![](nunmal-picture:9)", b"no picture", bomb, cut)

    _, pages = illustrated_pages(markdown_pieces(data), 1, 50)
    assert [(page.text, page.picture) for page in pages] == [("가\n\n나\n\n다", b""), ("", b"")]
    with pytest.raises(DocumentWithoutText):
        illustrated_pages(markdown_pieces(_with_data("![](@)", b"no picture")), 1, 50)


def test_more_pictures_than_pages_may_be_are_counted_no_further() -> None:
    image = image_file(scan_of("가"), "PNG")
    count, _ = illustrated_pages(markdown_pieces(_with_data("![](@)\n\n" * 5, *[image] * 5)), 1, 3)

    assert count == 4
