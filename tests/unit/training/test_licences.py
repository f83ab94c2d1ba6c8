"""The licence of a file is what is written about it, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.licences import Licence, licence_of, licence_table
from training.data.sources import SOURCES

README = """# Data

| file | source @ commit | licence | rows | restrictions |
|---|---|---|---|---|
| sft/a/train.jsonl.gz | a/b @ 12 | CC BY-NC 4.0 | 3 | NC |
| sft/b/train.jsonl.gz | c/d @ 34 | MIT | 3 | - |
"""


@pytest.fixture
def small_dir(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    for name in ("a", "b", "c"):
        (tmp_path / "sft" / name).mkdir(parents=True)
    (tmp_path / "sft" / "c" / "LICENSE_NOTE.txt").write_text("ask")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", Licence("CC BY-NC 4.0", "a/b @ 12", "NC")),
        ("b", Licence("MIT", "c/d @ 34")),
        ("c", Licence(notice="LICENSE_NOTE.txt")),
    ],
)
def test_licence_is_read_from_the_table_or_named_beside_the_file(small_dir: Path, name: str, expected: Licence) -> None:
    path = small_dir / "sft" / name / "train.jsonl.gz"

    assert licence_of(path, small_dir, licence_table(small_dir)) == expected


def test_a_file_elsewhere_has_none(small_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "rows.json"

    assert licence_of(elsewhere, small_dir, licence_table(small_dir)) == Licence()


def test_a_folder_without_a_readme_has_no_table(tmp_path: Path) -> None:
    assert licence_table(tmp_path) == {}


@pytest.mark.data
def test_the_data_folder_names_a_licence_for_every_free_source(data_dir: Path) -> None:
    table = licence_table(data_dir)

    assert {source.path for source in SOURCES.values()} <= table.keys()
    assert table["sft/koalpaca_v1_subset/train.jsonl.gz"].restrictions.startswith("NC")
