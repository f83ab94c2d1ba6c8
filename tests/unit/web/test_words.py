"""The catalogues: equal keys, equal facts, a sentence for every error and for every key a page uses."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from shared.errors import NunmalError, PasswordTooLong
from web.words import LANGUAGES, load_words

_WORDS = load_words()
_WEB = Path(__file__).resolve().parents[3] / "web"


def _facts(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def _error_codes(kind: type[NunmalError] = NunmalError) -> set[str]:
    return {kind.code}.union(*(_error_codes(child) for child in kind.__subclasses__()))


def test_every_language_has_the_same_keys() -> None:
    for language in LANGUAGES:
        assert _WORDS[language].keys == _WORDS["ko"].keys


def test_every_language_names_the_same_facts() -> None:
    for key in _WORDS["ko"].keys:
        korean, english = (_WORDS[language]._sentences[key] for language in LANGUAGES)
        assert _facts(korean) == _facts(english), key


def test_every_error_has_a_sentence() -> None:
    for code in _error_codes():
        assert f"error.{code}" in _WORDS["ko"]


def test_pages_use_every_key_they_have_and_no_other() -> None:
    sources = "".join(path.read_text("utf-8") for path in [*_WEB.rglob("*.html"), *_WEB.rglob("*.py")])
    used = set(re.findall(r'["\']([a-z]+\.[a-z_0-9]+)["\']', sources))
    by_code = {key for key in _WORDS["ko"].keys if key.startswith(("error.", "http."))}

    assert set(re.findall(r'\b(?:t|words)\("([a-z]+\.[a-z_0-9]+)"', sources)) <= _WORDS["ko"].keys
    assert _WORDS["ko"].keys - by_code <= used


def test_the_system_never_shouts() -> None:
    for language in LANGUAGES:
        assert not [key for key in _WORDS[language].keys if "!" in _WORDS[language]._sentences[key]]


def test_the_sentence_about_long_passwords_counts_in_syllables() -> None:
    sentence = _WORDS["ko"].explain(PasswordTooLong(limit=72, syllables=24))

    assert "72" in sentence
    assert "24" in sentence


@pytest.mark.parametrize("key", ["api.prompt_too_long", "error.context_length_exceeded"])
def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_look_for(key: str) -> None:
    """LiteLLM knows OpenAI's sentence, not the code."""
    assert _WORDS["en"]._sentences[key].startswith("This model's maximum context length is ")


@pytest.mark.parametrize("code", [None, "made_up"])
def test_an_unknown_code_reads_as_an_internal_error(code: str | None) -> None:
    assert _WORDS["ko"].explain_code(code, {}) == _WORDS["ko"]("error.internal")


def test_a_sentence_whose_fact_is_missing_reads_as_an_internal_error() -> None:
    assert _WORDS["ko"].explain_code("too_many_attempts", {}) == _WORDS["ko"]("error.internal")
