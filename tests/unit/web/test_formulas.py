"""LaTeX in answers: what becomes MathML, what stays as it was written, and what never gets into a page."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.chat.blocks import finished_blocks
from web.chat.formulas import TAGS
from web.chat.markdown import render

_SQUARE = "<math><msup><mi>x</mi><mn>2</mn></msup></math>"


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("값은 $x^2$예요.", f"값은 {_SQUARE}예요."),
        (r"값은 \(x^2\)예요.", f"값은 {_SQUARE}예요."),
        ("$$\nx^2\n$$", _SQUARE.replace("<math>", '<math display="block">')),
        (r"그래서 \[x^2\] 이에요", _SQUARE.replace("<math>", '<math display="block">')),
        ("**$x^2$**", f"<strong>{_SQUARE}</strong>"),
        ("| 식 |\n|---|\n| $x^2$ |", f"<td>{_SQUARE}</td>"),
        (r"$\text{넓이}=\pi$", "<math><mtext>넓이</mtext><mo>=</mo><mi>π</mi></math>"),
        (r"$x\$y$", "<math><mi>x</mi><mi>$</mi><mi>y</mi></math>"),
        ("$$\\begin{aligned}a&=b\\end{aligned}$$", '<mtd class="right"><mi>a</mi></mtd><mtd class="left"><mo>=</mo>'),
    ],
)
def test_latex_becomes_mathml(source: str, html: str) -> None:
    assert html in render(source)


@pytest.mark.parametrize(
    "source",
    [
        "$5 and $6",
        "$5에서 10$까지",
        "가격은 $5예요. 다른 것은 $10이에요.",
        "$HOME/bin:$PATH",
        "$ x $",
        "$$x",
        "$$ $$",
        "US$5~$9",
        r"$\nosuch{x}$",
        r"$\frac{a}$",
        r"$$\left( x$$",
        r"$\newcommand{\a}{x\a}\a$",
        r"\(\nosuch*a*b\)",
    ],
)
def test_prices_and_bad_latex_stay_as_they_were_written(source: str) -> None:
    assert render(source) == f"<p>{source}</p>\n"


@pytest.mark.parametrize("source", ["`$x$`", "```\n$x$\n```", "    $x$", r"\$x$ 원"])
def test_code_and_escaped_dollars_are_no_formulas(source: str) -> None:
    assert "<math" not in render(source)
    assert "$x$" in render(source)


@pytest.mark.parametrize(
    "source",
    [
        "$<script>alert(1)</script>$",
        r"$\text{<img src=x onerror=alert(1)>}$",
        r"$\href{javascript:alert(1)}{x}$",
        r"$$\color{red}{\style{background:url(//a)}{x}}$$",
        r"\[\text{</math><iframe src=//a>}\]",
    ],
)
def test_hostile_latex_makes_nothing_but_formulas(source: str) -> None:
    tags = set(re.findall(r"</?([a-zA-Z-]+)", render(source)))

    assert tags <= TAGS | {"p"}
    assert not re.search(r"<[^>]*(?:href|style|src|on\w+)=", render(source))


@pytest.mark.parametrize(
    "piece", ["{", "$", "$$", r"\(", r"\[", r"\left(", r"\frac", "x^{", r"\begin{matrix}", "_", r"$\sqrt{$", "'", "&"]
)
def test_huge_and_deeply_nested_formulas_take_a_moment(piece: str) -> None:
    began = time.thread_time()
    render(f"${piece * 20_000}$")
    render(f"$${piece * (990 // len(piece))}$$")
    render("\n\n".join([f"\\[{piece * (900 // len(piece))}x\\]"] * 20))

    assert time.thread_time() - began < 5


@given(st.text(alphabet="$\\()[]{}x^_& \n가5*|frac", max_size=60))
def test_formulas_change_nothing_about_blocks(text: str) -> None:
    """What an answer showed while it was written is what it shows in the end."""
    ended = f"{text}\n\n끝이에요\n"

    assert "".join(block.html for block in finished_blocks(f"{ended}\n# 다음\n")) == render(ended)
