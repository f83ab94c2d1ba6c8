"""Articles of NUNMAL_DATA_DIR/docs: their text, and the level that their authors say they have by where they put them.

A level is what a book or a site says itself: chapters in order, "learn" before "reference", "tutorial" before
"advanced". Collections with a free licence calibrate what ships, with one half of their articles (by the hash of the
path); the other half is held out, and so are all of two collections that no calibration ever sees.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.digest_errors import DigestError
from shared.digesting.article import Article, read_article, without_front_matter
from shared.text.morphemes import Morpheme, analysed
from workers.ingest.parsing.markdown import markdown_blocks
from workers.ingest.parsing.parts import parts_of

BEGINNER, ADVANCED = 0, 1
UNSEEN = ("d2l_ko", "progit_ko")  # share-alike and non-commercial: measured on, never learned from

_NEVER = r"(?!)"
_LEVELS = {
    "rust_book_ko": (r"src/ch0[1-6]-0[1-9]", r"src/ch(15|16|17|19|20)-0[1-9]"),
    "react_ko": (
        r"learn/(describing|your-first|writing-markup|javascript-in|passing-props|conditional|rendering-lists|keeping"
        r"|adding-inter|responding|state-as|updating|queueing|installation|setup|editor|importing|understanding"
        r"|react-developer|creating|index|thinking|render-and)",
        r"reference/(react-dom/(server|client|static|pre)|rsc|react/(use[A-Z]|Suspense|Activity|experimental|cacheS"
        r"|capture|startT|addT))",
    ),
    "vue_ko": (
        r"src/(guide/(essentials|quick-start|introduction)|tutorial)",
        r"src/(guide/(extras|scaling-up|reusability|best)|api/(render|custom|ssr))",
    ),
    "typescript_ko": (
        r"pages/(tutorials|basic-types|functions|interfaces|classes|enums|variable|literal|typescript-in-5|iter)|intro",
        r"pages/(advanced-types|decl|module-res|mixins|decorators|project|utility|jsx|namespaces-and|symbols|triple)",
    ),
    "fastapi_ko": (r"docs/tutorial/[^/]*\.md|python-types|features", r"docs/advanced/"),
    "webpack_ko": (
        r"content/(guides/(getting-started|asset-man|output|installation|development\.|production)|concepts/)",
        r"content/(api/(comp|context|hot|loaders|module-methods|normal|parser|plugin|resolv)|contribute|migrate)",
    ),
    "hf_course_ko": (r"ko/chapter[01]/", r"ko/chapter[5-8]/"),
    "pytorch_ko": (r"beginner_source", r"(advanced|intermediate)_source"),
    "ms_learn": (r"fundamentals|introduction|align|intro|principles|concepts", _NEVER),
    "ms_architecture_center": (_NEVER, r"reference-architectures|antipatterns|patterns/"),
    "d2l_ko": (
        r"chapter_(intro|prelim|linear|preface|installation)",
        r"chapter_(optim|attention|natural|recurrent-modern|generative|computer-vision|computational|recomm|reinf"
        r"|appendix-math)",
    ),
    "progit_ko": (r"book/(01|02)", r"book/(10|07)"),
}


@dataclass(frozen=True, slots=True)
class Levelled:
    """`morphemes`: of each item."""

    collection: str
    path: str
    level: int
    article: Article
    morphemes: tuple[tuple[Morpheme, ...], ...]

    @property
    def calibrates(self) -> bool:
        return self.collection not in UNSEEN and hashlib.sha256(self.path.encode()).digest()[0] % 2 == 0


def rows(data_dir: Path, collection: str) -> list[dict[str, str]]:
    """Of a collection, in its order: `path`, `title`, `markdown`."""
    with gzip.open(data_dir / "docs" / collection / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def collections(data_dir: Path) -> list[str]:
    return sorted(path.parent.name for path in (data_dir / "docs").glob("*/docs.jsonl.gz"))


def levelled(data_dir: Path) -> Iterator[Levelled]:
    """Those that can be digested."""
    for collection, (beginner, advanced) in _LEVELS.items():
        for row in rows(data_dir, collection):
            is_easy, is_hard = re.search(beginner, row["path"]), re.search(advanced, row["path"])
            if not (is_easy or is_hard):
                continue
            _, body = without_front_matter(row["markdown"])
            text = "\n\n".join(part.text for part in parts_of(markdown_blocks(body.encode())))
            try:
                article = read_article(text, row["title"] or "")
            except DigestError:
                continue
            found = tuple(tuple(analysed(item.text)) for item in article.items)
            yield Levelled(collection, row["path"], BEGINNER if is_easy else ADVANCED, article, found)
