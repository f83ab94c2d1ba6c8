"""The files: their schema, the same bytes for the same seed, their balance, and the command that writes them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

import vision.scenes
from vision.scenes.__main__ import main
from vision.scenes.contact_sheet import contact_page
from vision.scenes.dataset import Example, Split, examples, make_example, read_questions, read_scenes, write
from vision.scenes.drafts import FAMILIES
from vision.scenes.programs import OPERATIONS, execute
from vision.scenes.report import FEWEST_JUDGED, MAX_MAJORITY, Report
from vision.scenes.scene import Scene
from vision.scenes.vocabulary import CANNOT_TELL, VALUES

PACKAGE = Path(vision.scenes.__file__).parent


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PACKAGE / f"{name}.schema.json").read_text(encoding="utf-8"))
    return loaded


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scenes")
    assert main(["--seed", "3", "--n", "12", "--out", str(directory), "--contact-sheet"]) == 0
    return directory


def test_rows_follow_their_schemas_and_name_pictures_that_exist(written: Path) -> None:
    scenes, questions = rows(written / "scenes.jsonl"), rows(written / "questions.jsonl")
    scene_schema, question_schema = schema("scene"), schema("question")
    ids = {row["id"] for row in scenes}

    for row in scenes:
        jsonschema.validate(row, scene_schema)
        with Image.open(written / row["picture"]) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (96, 96))
    for row in questions:
        jsonschema.validate(row, question_schema)
        assert row["scene"] in ids
    assert len(scenes) == 12
    assert len({row["id"] for row in questions}) == len(questions) > 90


def test_the_schemas_refuse_what_does_not_belong(written: Path) -> None:
    row = rows(written / "scenes.jsonl")[0]

    changes: list[dict[str, Any]] = [{"weather": "sunny"}, {"size": 4000}, {"objects": []}, {"version": 99}]
    for change in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**row, **change}, schema("scene"))


def test_schemas_and_code_know_the_same_words() -> None:
    things = schema("scene")["properties"]["objects"]["items"]["properties"]
    questions = schema("question")["properties"]

    assert {attribute: tuple(things[attribute]["enum"]) for attribute in VALUES} == VALUES
    assert set(questions["program"]["items"]["properties"]["op"]["enum"]) == set(OPERATIONS)
    assert questions["family"]["enum"] == list(FAMILIES)


def test_rows_read_back_to_the_same_values_and_answers(written: Path) -> None:
    scenes = {scene.id: scene for scene in read_scenes(written)}

    for row in rows(written / "scenes.jsonl"):
        assert json.loads(json.dumps(scenes[row["id"]].to_json())) == row
    for row, question in zip(rows(written / "questions.jsonl"), read_questions(written), strict=True):
        assert json.loads(json.dumps(question.to_json())) == row
        assert execute(question.program, scenes[question.scene].objects).answer == question.answer


def test_the_same_seed_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    for _ in write(tmp_path, examples(3, 12, "train", 96)):
        pass
    again = digests(tmp_path)

    assert len(again) == 14
    assert again == {name: digest for name, digest in digests(written).items() if not name.startswith("contact")}


def test_a_scene_depends_on_its_seed_and_index_alone(written: Path) -> None:
    alone = make_example(3, 7, "train", 96)

    assert alone.scene == Scene.from_json(rows(written / "scenes.jsonl")[7])
    assert make_example(4, 7, "train", 96).scene.objects != alone.scene.objects
    assert make_example(3, 8, "train", 96).scene.objects != alone.scene.objects
    assert make_example(3, 7, "test", 96).scene.objects != alone.scene.objects


def test_no_family_can_be_answered_by_always_saying_the_same(by_split: dict[Split, list[Example]]) -> None:
    for split, made in by_split.items():
        report = Report()
        for example in made:
            report.add(example)

        assert set(report.answers) == set(FAMILIES)
        assert max(report.majorities().values()) <= MAX_MAJORITY, (split, report.text())
        assert min(counts.total() for counts in report.answers.values()) > 0.9 * len(made)
        assert 0.4 < report.answers["unanswerable"][CANNOT_TELL] / report.answers["unanswerable"].total() < 0.6
        assert {1, 2, 3} == set(report.hops["chain"])


def test_the_report_says_when_a_family_is_out_of_balance(by_split: dict[Split, list[Example]]) -> None:
    report = Report()
    for example in by_split["train"][:20]:
        report.add(example)
    assert report.is_balanced()

    report.answers["count"]["1개"] += 10 * FEWEST_JUDGED

    assert not report.is_balanced()
    assert "ABOVE 60%" in report.text()


def test_the_contact_sheet_is_a_picture_or_a_page(written: Path, by_split: dict[Split, list[Example]]) -> None:
    made = list(written.glob("contact_sheet.*"))
    page = contact_page(by_split["train"][:2])

    assert [path.suffix for path in made] in ([".png"], [".html"])
    assert page.count("<img") == 2 and by_split["train"][0].questions[0].question in page


@pytest.mark.parametrize(
    "wrong", [["--size", "4096"], ["--size", "32"], ["--n", "0"], ["--split", "dev"], ["--seed", "one"]]
)
def test_the_command_refuses_what_it_cannot_do(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--seed", "1", "--n", "1", "--out", str(tmp_path / "out"), *wrong])

    assert ended.value.code == 2
    assert not (tmp_path / "out").exists()


def test_wrong_splits_and_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="unknown split 'dev'; known: train, test"):
        make_example(0, 0, "dev", 96)  # type: ignore[arg-type]  # what a caller without types can do
    with pytest.raises(ValueError, match="size 500 is outside 96 to 224"):
        make_example(0, 0, "train", 500)
