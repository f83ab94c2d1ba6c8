"""Every sentence the pages say, one file a language with the same keys (ko.toml, en.toml).

A key is an error's `code` or names its place (`chat.send`). `{name}` stands for a fact. Korean is written in
short 해요체 without blame; English is written, not translated.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

from shared.errors import NunmalError

DEFAULT_LANGUAGE = "ko"
LANGUAGES = ("ko", "en")

_HERE = Path(__file__).resolve().parent


class Words:
    """The catalogue of one language."""

    def __init__(self, language: str, sentences: Mapping[str, str]) -> None:
        self.language = language
        self._sentences = sentences

    def __call__(self, key: str, **facts: object) -> str:
        """The sentence of `key`. Raises KeyError for a key or a fact that is not there."""
        return self._sentences[key].format_map(facts)

    def __contains__(self, key: object) -> bool:
        return key in self._sentences

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._sentences)

    def explain(self, error: NunmalError) -> str:
        """What to tell a person about `error`."""
        return self.explain_code(error.code, error.facts)

    def explain_code(self, code: str | None, facts: Mapping[str, object]) -> str:
        """The same for an error that was stored; a code we do not know reads as an internal error."""
        if "retry_after_s" in facts:
            facts = {**facts, "wait": self.duration(float(str(facts["retry_after_s"])))}
        try:
            return self(f"error.{code}", **facts)
        except KeyError:
            return self("error.internal")

    def duration(self, seconds: float) -> str:
        """About how long, in the largest unit that fits."""
        if seconds < 60:
            return self("duration.seconds", count=max(1, math.ceil(seconds)))
        if seconds < 3600:
            return self("duration.minutes", count=round(seconds / 60))
        return self("duration.hours", count=round(seconds / 3600))


@functools.cache
def load_words() -> dict[str, Words]:
    """All catalogues by language. Reads files: call it at start."""
    return {language: Words(language, _flat(_read(language))) for language in LANGUAGES}


def _read(language: str) -> dict[str, object]:
    return tomllib.loads((_HERE / f"{language}.toml").read_text("utf-8"))


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    sentences: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            sentences |= _flat(value, f"{prefix}{name}.")
        else:
            sentences[prefix + name] = str(value)
    return sentences
