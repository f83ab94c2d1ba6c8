"""Words of a domain that a base spells in many pieces, as a list for a recipe's `method.terms`.

Counts nouns of 3 to 8 Hangul syllables: one that occurs often and costs several tokens is a term. It knows no meaning:
read the list before you use it.

How to run:
    python -m training.tune.terms --base workers/reference/model --most 200 FILES     # JSON Lines, as in a recipe
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.errors import ConfigError
from shared.settings import load_settings
from shared.text.morphemes import nouns

_WORD = re.compile(r"[가-힣]{3,8}")
_LEAST = 5  # how often it must occur


@dataclass(frozen=True, slots=True)
class Term:
    """A candidate."""

    text: str
    count: int
    saved: int  # tokens, over all its places


def find_terms(texts: Iterable[str], tokenizer: Any, most: int) -> list[Term]:
    """Those that save most tokens, best first; of two that are parts of one another, the one that saves more."""
    counts = Counter(noun for text in texts for noun in nouns(text) if _WORD.fullmatch(noun))
    often = [text for text, count in counts.items() if count >= _LEAST]
    found = [Term(text, counts[text], counts[text] * (_pieces(text, tokenizer) - 1)) for text in often]
    chosen: list[Term] = []
    for term in sorted(found, key=lambda term: (-term.saved, term.text)):
        if len(chosen) == most or term.saved == 0:
            break
        if not any(term.text in other.text or other.text in term.text for other in chosen):
            chosen.append(term)
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    from training.tune import rows  # transformers, for which --help need not wait
    from training.tune.recipe import Data
    from training.tune.vocabulary import texts_of
    from training.tune.weights import open_tokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="folder of a model, for its tokenizer")
    parser.add_argument("--most", type=int, default=200, help="terms at most")
    parser.add_argument("--data-dir", type=Path, default=load_settings().data_dir)
    asked = parser.parse_args(arguments)
    try:
        found = rows.read(Data(files=tuple(asked.files)), asked.data_dir, seed=0)
        terms = find_terms(texts_of(found), open_tokenizer(asked.base), asked.most)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"training.tune.terms: {error}\n")
        return 2
    print(yaml.safe_dump({"terms": [term.text for term in terms]}, allow_unicode=True, default_flow_style=True), end="")
    print(f"# {sum(term.saved for term in terms)} tokens less")
    return 0


def _pieces(text: str, tokenizer: Any) -> int:
    """As it stands in texts: behind a space."""
    return len(tokenizer.encode(f" {text}", add_special_tokens=False))


if __name__ == "__main__":
    sys.exit(main())
