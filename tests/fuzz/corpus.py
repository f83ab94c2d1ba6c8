"""Words that break things: markup that would run, letters that are not what they seem, and sizes nobody expects."""

from __future__ import annotations

import random

from tests.picture_files import animated, bomb, cmyk, photo, png

# `canary(1)` is a function that the browser of the fuzz knows, and that counts.
SCRIPTS = (
    "<script>canary(1)</script>",
    "<img src=x onerror=canary(1)>",
    '"><img/src=x/onerror=canary(1)>',
    "'><svg/onload=canary(1)>",
    "<svg><script>canary(1)</script></svg>",
    "<svg><animate onbegin=canary(1) attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.canary(1)</script>'></iframe>",
    '<iframe src="javascript:canary(1)"></iframe>',
    "<details open ontoggle=canary(1)>",
    "<input autofocus onfocus=canary(1)>",
    "<body onload=canary(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=canary(1)>",
    "<noscript><p title='</noscript><img src=x onerror=canary(1)>'>",
    "<template><script>canary(1)</script></template>",
    "</textarea><script>canary(1)</script>",
    "</title><script>canary(1)</script>",
    "<!--><script>canary(1)</script>-->",
    "<a href=javascript:canary(1)>x</a>",
    "[x](javascript:canary(1))",
    "[x](java\nscript:canary(1))",
    "[x](&#106;avascript:canary(1))",
    "[x](data:text/html,<script>canary(1)</script>)",
    "[x](vbscript:canary(1))",
    "<javascript:canary(1)>",
    '![x](x" onerror="canary(1))',
    '![x](http://outside.invalid/x.png "y" onerror=canary(1))',
    "[a]: javascript:canary(1)\n\n[a]",
    "```html onmouseover=canary(1)\n<script>canary(1)</script>\n```",
    "```<script>canary(1)</script>\nx\n```",
    '~~~"><script>canary(1)</script>\nx\n~~~',
    "| a |\n|---|\n| <img src=x onerror=canary(1)> |",
    "> <img src=x onerror=canary(1)>\n\n- <svg onload=canary(1)>",
    "`<img src=x onerror=canary(1)>`",
    "**<img src=x onerror=canary(1)>**",
    "<style>@import 'http://outside.invalid/x.css'</style>",
    "<link rel=stylesheet href=http://outside.invalid/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:canary(1)'>",
    "<base href=http://outside.invalid/>",
    "<object data=javascript:canary(1)></object><embed src=javascript:canary(1)>",
    "<form action=javascript:canary(1)><button id=x>x</button></form>",
    "\u202e<script>canary(1)</script>",
    "<scr\u200bipt>canary(1)</scr\u200bipt>",
    "\uff1cscript\uff1ecanary(1)\uff1c/script\uff1e",
    "<ScRiPt\x0b>canary(1)</ScRiPt>",
    "{{ canary(1) }}{% include '/etc/passwd' %}${canary(1)}",
    "javascript:canary(1)",
    "data:text/html;base64,PHNjcmlwdD5jYW5hcnkoMSk8L3NjcmlwdD4=",
)
TEXTS = (
    *("", " ", "\x00", "\x1b[31m", "\r\n\r\nX-Injected: 1", "%00", "%0d%0aX-Injected:%201", "\ufeff", "\u2028\u2029"),
    *("\u202e뒤집힌 글", "\u2066\u2069\u200f", "가\u200b나\u200c다\u200d라\u2060", "한글", "\u1112\u1161\u11ab" * 300),
    *("\u1112" * 400, "\u3164\u115f\u1160", "a" + "\u0301" * 99, "a" + "\u0301" * 5000, "\ufdfa" * 500, "ﷺ"),
    *(
        "\U0001d15e" * 500,
        "\u0344" * 200,
        "👨\u200d👩\u200d👧\u200d👦" * 50,
        "🏴\U000e0067\U000e0062",
        "\U0010ffff\ufffe",
    ),
    *(
        "\ufffd",
        "İı\u0130\u0131ſK",
        "ẞß",
        "\u00ad",
        "\ue000",
        "０１２３",
        "٣٤٥",
        "１e9",
        "null",
        "NaN",
        "-1",
        "0x1",
        "1e999",
    ),
    *("9" * 400, "' OR 1=1 --", '{"$gt": ""}', "$where", "__proto__", "../../etc/passwd", "C:\\x", "${jndi:ldap://x}"),
    *("(((((a+)+)+)+)+)$", "<|end|><|user|>", "<|assistant|>", "</s>[INST]", "[[[[" * 200, "> " * 300, "*" * 2000),
    *("`" * 2000, "- " * 400, "|" * 1000, "#" * 500, "_*" * 600, "![" * 400, "\\" * 999, "&#x" * 300, "&amp;" * 200),
    *("<" * 3000, "a" * 8001, "가" * 8000, "http://" * 300, "\t" * 900, "\n" * 900),
)
# What may stand in a form or an address but is no UTF-8, or is it in a way that it must not be.
BYTES = (
    *(b"%FF", b"\xff\xfe", b"%ED%A0%80", b"\xed\xa0\x80", b"%ED%B0%80", b"%C0%80", b"\xc0\xaf", b"%E0%80%AF"),
    *(b"%F8%88%80%80%80", b"%F4%90%80%80", b"%80", b"%", b"%zz", b"%u0041", b"%00", b"\x00", b"+" * 500, b"&&&==;;"),
    *(b"%0d%0a", b"%E2%80%AE", b"%CC%81" * 500, b"%f0%9f", b"=&=&=", b"%2525252e"),
)
# Files that are pictures, were some, or say so.
PICTURES = (
    *(png(), photo(6), bomb(), bomb(5000, 5000), b"", photo()[:-100], animated("WEBP"), animated("PNG"), cmyk()),
    *(b"<svg xmlns='http://www.w3.org/2000/svg'><script>canary(1)</script></svg>", b"GIF89a<script>canary(1)</script>"),
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x00\x00\x00\x00WEBPVP8X", b"\x00\x00\x00\x18ftypheic"),
)


def text(choice: random.Random) -> str:
    """Something hostile, at times two things together or a piece of one."""
    match choice.randrange(10):
        case 0 | 1 | 2 | 3:
            return choice.choice(SCRIPTS)
        case 4 | 5 | 6 | 7:
            return choice.choice(TEXTS)
        case 8:
            return choice.choice(SCRIPTS) + choice.choice(TEXTS) + choice.choice(SCRIPTS)
        case _:
            letters = [chr(choice.choice((choice.randrange(0x20, 0x7F), _any_letter(choice)))) for _ in range(40)]
            return "".join(letters)


def _any_letter(choice: random.Random) -> int:
    """A code point that UTF-8 can write."""
    code = choice.randrange(0x110000 - 0x800)
    return code if code < 0xD800 else code + 0x800
