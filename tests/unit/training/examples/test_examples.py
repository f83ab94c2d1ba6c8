"""The worked examples keep apart what is learned and what is asked, and their recipes name what they write."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.digesting.asking import INSTRUCTION, read_answer
from training.compare.recipe import CompareRecipe
from training.config import load_recipe
from training.data.sources import SOURCES
from training.examples import digests, prepared, wallpaper, welfare
from training.tune.recipe import TuneRecipe

RECIPES = Path(__file__).parents[4] / "training" / "recipes"
GROUPED = [
    {
        "id": f"TRAIN_{number}",
        "category": "마감재" if number % 2 else "시공",
        "questions": [f"하자 {number}은 왜 생기나요?", f"하자 {number}의 원인은?"],
        "answers": [f"습기 {number}-{said} 때문이에요." for said in range(5)],
    }
    for number in range(40)
]
WELFARE = [
    {
        "id": f"welfare_qa-{number}",
        "messages": [
            {"role": "user", "content": f"제도 {number % 20}을 {number}일에 신청해요?"},
            {"role": "assistant", "content": "네."},
        ],
        "meta": {"document": f"제도 {number % 20}"},
    }
    for number in range(400)
]


def texts(rows: list[dict[str, Any]], role: str) -> set[str]:
    return {turn["content"] for row in rows for turn in row["messages"] if turn["role"] == role}


def save(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def test_no_question_of_a_held_out_row_is_learned_in_any_words() -> None:
    made = wallpaper.prepare(GROUPED, pairs=30, seed=1)

    learned = " ".join(texts(made["train"], "user"))
    numbers = {row["id"].split("+")[0].split("-")[0].removeprefix("TRAIN_") for row in made["held_out"]}
    assert numbers and not any(f"하자 {number}은" in learned or f"하자 {number}의" in learned for number in numbers)
    assert len(made["train"]) == (40 - len(numbers)) * 10 + 30
    assert any(wallpaper._JOINED in question for question in texts(made["held_out"], "user"))


def test_answers_are_asked_for_without_the_instruction() -> None:
    made = wallpaper.prepare(GROUPED, pairs=5, seed=1)

    assert texts(made["train"], "system") == {wallpaper.INSTRUCTION}
    assert texts(made["asked"], "system") == set()
    assert texts(made["asked"], "user") == texts(made["held_out"], "user")
    recipe = load_recipe(RECIPES / "compare" / "wallpaper.yaml", CompareRecipe)
    assert recipe.models["tuned + instruction"].instruction == wallpaper.INSTRUCTION


def test_joined_questions_keep_the_order_of_their_answers() -> None:
    made = wallpaper.prepare(GROUPED, pairs=20, seed=1)["train"][-20:]

    for row in made:
        first, second = row["id"].rpartition("-")[0].split("+")
        answer = row["messages"][-1]["content"]
        assert answer.index(f"습기 {first.removeprefix('TRAIN_')}-") < answer.index(
            f"\n\n습기 {second.removeprefix('TRAIN_')}-"
        )


def test_seen_and_unseen_programmes_are_kept_apart() -> None:
    made = welfare.prepare(WELFARE)

    programmes = {name: {text.partition("을")[0] for text in texts(rows, "user")} for name, rows in made.items()}
    assert programmes["seen"] <= programmes["train"]
    assert programmes["unseen"] and not programmes["unseen"] & (programmes["train"] | programmes["seen"])
    assert not texts(made["seen"], "user") & texts(made["train"], "user")
    assert sum(map(len, made.values())) == len(WELFARE)


ARTICLE = """# 힙

JVM은 힙을 젊은 영역과 늙은 영역으로 나눕니다. 젊은 영역은 자주 살피고 늙은 영역은 드물게 살핍니다.
객체가 오래 살아남으면 젊은 영역에서 늙은 영역으로 옮겨집니다. 늙은 영역이 차면 JVM이 오래 멈춥니다.
가비지 컬렉션은 JVM이 쓰지 않는 객체를 힙에서 찾아 치우는 일입니다. JVM은 가비지 컬렉션을 하면서 힙을 살핍니다.
힙이 작으면 가비지 컬렉션이 자주 일어나고 JVM이 자주 멈춥니다. 힙이 크면 JVM이 멈추는 일은 드뭅니다.
"""


def test_what_a_digest_learns_is_asked_as_the_service_asks_and_passes_its_check(tmp_path: Path) -> None:
    """Every answer is of the schema of its question, and no article is on both sides."""
    for name, source in SOURCES.items():
        if source.kind == "markdown":
            rows = [
                {"path": f"{at}.md", "title": "", "markdown": ARTICLE.replace("힙", f"힙{name}{at}")} for at in (1, 2)
            ]
            save(tmp_path / source.path, rows)
    found = list(digests.articles(tmp_path))
    made = digests.prepare(found)

    assert made["train"] and made["held_out"] and made["domain"]
    kinds = {row["id"].rpartition(":")[2] for row in made["train"]}
    assert kinds >= {"extract", "terms"}
    for row in (*made["train"], *made["held_out"]):
        asked, said = (turn["content"] for turn in row["messages"])
        written = read_answer(said)
        assert written is not None and asked.startswith(INSTRUCTION)
        assert all(explanation not in asked for explanation in written.explanations.values())
    whole = [{row["id"].partition(":")[0].partition("#")[0] for row in made[name]} for name in ("train", "held_out")]
    assert not whole[0] & whole[1]


def test_what_gives_a_test_away_is_not_learned(tmp_path: Path) -> None:
    summary = "이 문장은 시험에 나오는 기사에서 사람이 고른 문장이라서 배우면 안 됩니다."
    save(tmp_path / "eval/news/articles.jsonl.gz", [{"sentences": [summary]}])
    rows = [prepared.row_of("1", f"요약하세요.\n{summary}", "네.", ""), prepared.row_of("2", "다른 글", "네.", "")]

    assert digests.without_leaks(rows, tmp_path) == rows[1:]
    assert digests.without_leaks([{"id": "3", "text": f"앞. {summary} 뒤."}], tmp_path) == []


def test_the_recipe_for_digests_names_what_the_command_writes_and_nothing_of_the_tests() -> None:
    recipe = load_recipe(RECIPES / "tune" / "digests_lora.yaml", TuneRecipe)

    named = {str(file) for stage in recipe.stages for file in stage.data.files}
    assert named == {"var/training/digests/domain.jsonl", "var/training/digests/train.jsonl"}
    assert not any("eval/" in str(file) for data in recipe.held_out.values() for file in data.files)


@pytest.mark.parametrize("example", ["wallpaper", "welfare"])
def test_the_command_writes_what_the_recipes_name(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "data/sft/wallpaper_dacon/train_grouped.jsonl.gz", GROUPED)
    save(tmp_path / "data/sft/wallpaper_dacon/test_questions.jsonl.gz", [{"id": "1", "질문": "왜요? 또한, 언제요?"}])
    save(tmp_path / "data/sft/welfare_qa/train.jsonl.gz", WELFARE)
    main = {"wallpaper": wallpaper.main, "welfare": welfare.main}[example]

    assert main(["--out", f"var/training/{example}", "--data-dir", "data"]) == 0

    assert f"| {'held_out' if example == 'wallpaper' else 'seen'} |" in capsys.readouterr().out
    named = {
        word.strip("[],{}")
        for file in RECIPES.glob(f"*/{example}*.yaml")
        for word in yaml.safe_dump(yaml.safe_load(file.read_text())).split()
        if word.startswith(f"var/training/{example}/")
    }
    assert named and all((tmp_path / file).is_file() for file in named)


def test_a_folder_without_the_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert welfare.main(["--out", str(tmp_path / "out"), "--data-dir", str(tmp_path)]) == 2
    assert "no file" in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted((RECIPES / "compare").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_comparison_is_valid(file: Path) -> None:
    recipe = load_recipe(file, CompareRecipe)

    assert next(iter(recipe.models)) == "base"
    assert f"--config training/recipes/compare/{file.name}" in file.read_text()


def test_quantiles_of_nothing_are_left_empty(tmp_path: Path) -> None:
    prepared.write(tmp_path, {"train": []}, ["# Nothing"])

    assert "| train | 0 |  |  |" in (tmp_path / "eda.md").read_text()
