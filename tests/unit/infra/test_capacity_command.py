"""`python -m infra.capacity`: demand, plan, table, picture, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from infra.capacity.__main__ import main
from infra.capacity.demand import DAY, Demand, Lengths
from infra.capacity.plan import Goal, smallest
from infra.capacity.profile import PROFILES, load_profile
from shared.errors import ConfigError

LENGTHS = Lengths(100, 100)
GPU = "llama-8b-h100"


def demand(users: int = 1000, **changes: Any) -> Demand:
    given: dict[str, Any] = {"users": users, "questions_per_hour": 2.0, "prompt": LENGTHS, "answer": LENGTHS}
    return Demand(**given | changes)


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.json")), ids=lambda path: path.stem)
def test_every_profile_can_be_used_and_says_where_it_is_from(path: Path) -> None:
    profile = load_profile(path.stem)
    assert len(profile.source) > 40
    assert profile.most_tokens_per_s > 1 / profile.step_s(1)


def test_between_and_beyond_the_points_of_a_profile_lie_straight_lines() -> None:
    profile = load_profile(GPU)
    (few, many) = profile.steps[-2:]
    middle = (few.rows + many.rows) // 2
    assert profile.step_s(middle) == pytest.approx((few.seconds + many.seconds) / 2)
    assert profile.step_s(2 * many.rows - few.rows) == pytest.approx(2 * many.seconds - few.seconds)


def test_a_day_has_as_many_questions_as_its_people_ask() -> None:
    asked = demand().questions(seed=3, minutes=1440, begin_hour=0)
    assert len(asked) == pytest.approx(1000 * 2 * 24, rel=0.02)
    by_hour = np.bincount([int(each.asked_s // 3600) for each in asked], minlength=24)
    assert int(by_hour.argmax()) in (20, 21)
    assert by_hour[3] < by_hour[21] / 5
    assert [each.asked_s for each in asked] == sorted(each.asked_s for each in asked)


def test_gaps_between_questions_of_an_even_day_are_exponential() -> None:
    asked = demand(day=[1] * 24).questions(seed=5, minutes=600)
    gaps = np.diff([each.asked_s for each in asked])
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.03)


def test_lengths_have_the_median_and_the_95th_percentile_that_were_asked_for() -> None:
    lengths = Lengths(300, 900)
    drawn = lengths.draw(50_000, np.random.default_rng(1))
    assert np.percentile(drawn, [50, 95]) == pytest.approx([300, 900], rel=0.03)
    assert np.mean(drawn) == pytest.approx(lengths.mean, rel=0.03)


def test_the_smallest_number_meets_the_goal_and_one_less_does_not() -> None:
    crowd = demand(200_000, prompt=Lengths(400, 1500), answer=Lengths(300, 900), questions_per_hour=0.5)
    plan = smallest(crowd.questions(2, 3), load_profile(GPU), Goal(1.0, 95))
    by_workers = {each.workers: each.ttft_goal_s for each in plan.tried}
    assert plan.smallest.ttft_goal_s <= 1.0 < by_workers[plan.smallest.workers - 1]


def test_the_table_names_profile_demand_and_goal(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--profile", GPU, "--users", "5000", "--minutes", "20"])
    told = capsys.readouterr().out
    assert "assumed" in told and "5,000 people" in told and "meet the goal" in told


def test_the_same_seed_tells_the_same_and_another_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    def told(seed: str) -> Any:
        main(["--profile", GPU, "--users", "20000", "--minutes", "10", "--workers", "2", "--json", "--seed", seed])
        return json.loads(capsys.readouterr().out)

    assert told("1") == told("1") != told("2")


def test_a_picture_is_drawn_and_holds_no_date(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    main(["--profile", GPU, "--users", "5000", "--minutes", "20", "--picture", str(path)])
    text = path.read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314  # our own file
    assert "<dc:date>" not in text and "5,000 people" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--users", "0"], "at least one user"),
        (["--users", "10", "--questions-per-hour", "-1"], "questions per hour"),
        (["--users", "10", "--questions-per-hour", "nan"], "questions per hour"),
        (["--users", "10", "--minutes", "0"], "a window"),
        (["--users", "10", "--ttft", "0"], "the goal for the first text"),
        (["--users", "10", "--percentile", "100"], "the percentile"),
        (["--users", "10", "--prompt", "500", "100"], "lengths"),
        (["--users", "10", "--day", *["0"] * 24], "24 weights"),
        (["--users", "3"], "too few to count"),
        (["--users", "2000000000"], "too many to simulate"),
        (["--users", "5000", "--ttft", "0.001"], "no number of workers"),
        (["--users", "5000", "--workers", "0"], "workers"),
        (["--users", "5000", "--picture", "plan.gif"], ".svg or .png"),
        (["--users", "10", "--profile", "nobody"], "there is no profile nobody"),
        (["--users", "ten"], "invalid int"),
    ],
)
def test_nonsense_is_refused_with_a_sentence_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--profile", GPU, *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slots": 0}, "slots"),
        ({"steps": []}, "steps"),
        ({"colour": "red"}, "colour"),
        ({"steps": [{"rows": 4, "seconds": 0.2}, {"rows": 8, "seconds": 0.1}]}, "8 must follow 4"),
        ({"prompts": [{"tokens": 1, "seconds": 0.1}, {"tokens": 9, "seconds": 0.1}]}, "a longer prompt"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(json.loads((PROFILES / f"{GPU}.json").read_text()) | change))
    with pytest.raises(ConfigError, match=said):
        load_profile(str(path))


def test_a_day_is_24_weights() -> None:
    assert len(DAY) == 24
    with pytest.raises(ConfigError, match="24 weights"):
        demand(day=[1.0] * 23)
