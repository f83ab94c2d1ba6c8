"""Nothing that is not free can be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.sources import FREE_LICENCES, SOURCES, Source, SourceError, read_rows


@pytest.mark.parametrize("name", ["koalpaca_v1_subset", "smilestyle", "kochatgpt_conversation", "klue"])
def test_source_outside_the_table_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"{name}.*not in the table"):
        next(read_rows(name, tmp_path))


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-ND-2.0", "", "none"])
def test_source_without_a_free_licence_cannot_be_described(licence: str) -> None:
    with pytest.raises(SourceError, match="weights we publish need"):
        Source("some", "sft/some.jsonl.gz", "chat", licence, "someone/some @ 0", "someone")


def test_evaluation_data_cannot_be_described_as_a_source() -> None:
    with pytest.raises(SourceError, match="never trained on"):
        Source("nsmc", "eval/nsmc/test.jsonl.gz", "reviews", "CC0-1.0", "e9t/nsmc @ 0", "someone")


def test_every_source_of_the_table_is_free_and_names_its_origin() -> None:
    for source in SOURCES.values():
        assert source.licence in FREE_LICENCES
        assert " @ " in source.origin
        assert source.holder


def test_missing_file_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--data-dir"):
        next(read_rows("songys_chatbot", tmp_path))
