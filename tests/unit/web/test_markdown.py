"""What Markdown becomes: Korean emphasis, code, links; and what never gets into a page."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers import get_lexer_by_name

from web.chat.markdown import _LANGUAGES, render


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("**용어(Term)**을", "<strong>용어(Term)</strong>을"),
        ("**마크다운(Markdown)**을 써요", "<strong>마크다운(Markdown)</strong>을 써요"),
        ('**"인용"**은', '<strong>"인용"</strong>은'),
        ("**‘작은따옴표’**는", "<strong>‘작은따옴표’</strong>는"),
        ("이것은**“강조”**예요", "이것은<strong>“강조”</strong>예요"),
        ("*기울임*은", "<em>기울임</em>은"),
        ("*(괄호)*도", "<em>(괄호)</em>도"),
        ("***둘 다!***예요", "<em><strong>둘 다!</strong></em>예요"),
        ("**`코드`**를", "<strong><code>코드</code></strong>를"),
        ("**[글](https://a.kr)**을", "</a></strong>을"),
        ("**この文。**は", "<strong>この文。</strong>は"),
        ("**这句话。**是", "<strong>这句话。</strong>是"),
        ("**50%**가", "<strong>50%</strong>가"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("snake_case_name", "snake_case_name"),
        ("a * b*", "a * b*"),
        ("**bold** text", "<strong>bold</strong> text"),
        ("foo**(bar)**baz", "foo**(bar)**baz"),
        ("** 띄움 **", "** 띄움 **"),
        ("안녕~~ 반가워~~", "안녕~~ 반가워~~"),
    ],
)
def test_emphasis_next_to_hangul(source: str, html: str) -> None:
    assert html in render(source)


def test_a_line_break_stays_one() -> None:
    assert render("하나\n둘") == "<p>하나<br>\n둘</p>\n"


def test_code_is_highlighted_with_classes_only() -> None:
    html = render('```python\nprint("안녕")\n```')

    assert '<span class="nb">print</span>' in html
    assert "style=" not in html


@pytest.mark.parametrize("language", ["", "made-up", "<script>", '"onload="x'])
def test_code_in_an_unknown_language_is_plain(language: str) -> None:
    assert "<code" in render(f"```{language}\n<b>&\n```")
    assert "&lt;b&gt;&amp;" in render(f"```{language}\n<b>&\n```")


def test_a_table_is_aligned_by_class() -> None:
    html = render("|가|나|\n|:-:|--:|\n|1|2|")

    assert '<th class="center">가</th>' in html
    assert '<td class="right">2</td>' in html


@pytest.mark.parametrize("address", ["https://a.kr/x", "http://a.kr", "mailto:a@b.kr"])
def test_a_link_opens_apart_and_says_nothing_about_us(address: str) -> None:
    html = render(f"[글]({address})")

    assert f'href="{address}"' in html
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "/logout",
        "&#106;avascript:x",
        "http://[x",
    ],
)
def test_no_other_address_becomes_a_link(address: str) -> None:
    assert "href" not in render(f"[글]({address})")
    assert "href" not in render(f"<{address}>")


def test_a_picture_is_words_and_an_address_and_is_never_loaded() -> None:
    html = render("![고양이](https://evil.example/track.png)")

    assert html == "<p>고양이 (https://evil.example/track.png)</p>\n"


_ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{background:url(https://evil.example)}</style>",
    "<form action=https://evil.example><button>로그인</button></form>",
    "<div data-role='assistant' id='main' style='position:fixed'>",
    "<!-- <b> --><base href='https://evil.example'>",
    "[x](javascript&colon;alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
    '![x](x" onerror="alert(1))',
    "![<img src=x onerror=alert(1)>](https://a.kr)",
    "```<img src=x onerror=alert(1)>\n<img src=x onerror=alert(1)>\n```",
    "`<img src=x onerror=alert(1)>`",
    "[<b>](https://a.kr 'x\" onmouseover=\"alert(1)')",
    "<chat-stream data-url='/x'></chat-stream>",
    "<template shadowrootmode=open><script>1</script></template>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
)
_OPENING_TAG = re.compile(r"<([a-z0-9-]+)((?:\s[^<>]*)?)>", re.IGNORECASE)
_HARMLESS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "strong", "em"),
    *("code", "pre", "a", "span", "div", "table", "thead", "tbody", "tr", "th", "td"),
}


def _assert_harmless(html: str) -> None:
    for tag, attributes in _OPENING_TAG.findall(html):
        assert tag.lower() in _HARMLESS
        names = re.findall(r'([a-z-]+)="[^"]*"', attributes)
        assert set(names) <= {"href", "title", "target", "rel", "class", "start"}
        for address in re.findall(r'href="([^"]*)"', attributes):
            assert address.startswith(("http://", "https://", "mailto:"))


@pytest.mark.parametrize("attack", _ATTACKS)
def test_no_attack_becomes_markup(attack: str) -> None:
    _assert_harmless(render(attack))
    _assert_harmless(render(f"- {attack}\n\n> {attack}\n\n| {attack} |\n|---|\n| {attack} |"))


@pytest.mark.parametrize("text", ["[말]()", "[]()", "[말](<>)"])
def test_a_link_without_an_address_leads_nowhere(text: str) -> None:
    assert "href" not in render(text)


@given(
    st.lists(st.sampled_from([*_ATTACKS, "**", "`", "[", "](", ")", "\n", "\n\n", "가", "<", ">", "&", '"', "|"])).map(
        "".join
    )
)
def test_no_mixture_of_attacks_becomes_markup(text: str) -> None:
    _assert_harmless(render(text))


_REPEATED = (
    *("(", "[", "{", "<", '"', "'", "`", "\\", "/", "/*", "//", "#", "a", "a ", "a.", " ", "\t", "\n", "0", "1e", "a("),
    *(
        "</",
        "<a ",
        "<!--",
        "${",
        "$(",
        "{%",
        '"""',
        "a:",
        "a=",
        "@a",
        "-",
        "_",
        "a,",
        "int a",
        "; ",
        "::",
        "&",
        "|",
        "~",
    ),
    *("가", 'r"', "<<A\n", "a\\\n", "* ", "&#", "(*", "a:\n ", "\n ", "- a: ", '"\\', "'\\", "<script>", "<style>"),
    *("select ", "0_", "int[] ", "a<b, ", "a b(", "#[", "#define a\\\n", 'R"(', "template<", "fun ", "[a]", "$", "\r"),
)


@pytest.mark.parametrize(
    "language", sorted({get_lexer_by_name(name).name: name for name in sorted(_LANGUAGES)}.values())
)
def test_no_text_keeps_a_highlighter_busy(language: str) -> None:
    """Of 200 languages that Pygments knows, some take 5 to 12 s for 4,000 characters."""
    slowest = 0.0
    for repeated in _REPEATED:
        code = (repeated * 4000)[:3900] + "\0"
        started = time.thread_time()
        assert "<pre>" in render(f"~~~~~{language}\n{code}\n~~~~~")
        slowest = max(slowest, time.thread_time() - started)

    assert slowest < 0.6


@pytest.mark.parametrize("language", ["java", "fan", "autoit", "gherkin", "autohotkey", "Python"])
def test_languages_that_were_not_measured_are_plain(language: str) -> None:
    assert "<span" not in render(f"```{language}\nclass A:\n```")


def test_a_long_block_and_what_comes_after_many_are_plain() -> None:
    line = "print(1)\n"

    assert "<span" not in render(f"```python\n{line * 500}```")
    assert render(f"```python\n{line * 400}```\n" * 8).count('<pre><code class="code"><span') == 5


def test_many_slow_blocks_together_take_no_longer_than_one() -> None:
    slow = "```python\n" + "\n " * 1900 + "\n```\n"
    started = time.thread_time()
    render(slow * 20)

    assert time.thread_time() - started < 1
