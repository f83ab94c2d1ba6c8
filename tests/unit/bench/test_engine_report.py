"""The arithmetic of the engine's bench, with numbers small enough to follow by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bench.engine import BATCHES, FIGURES_OF, NAMES, PARTS, merge, other_loads, reference_loads
from tests.bench.engine_report import (
    OURS,
    Divergence,
    Equality,
    Run,
    Sample,
    disturbance,
    first_difference,
    over,
    ratios,
)


def sample(seconds: float, *, cpu_s: float = 1.0, tokens: int = 100) -> Sample:
    return Sample(seconds, cpu_s, cpu_s, 0.0, tokens)


def run(way: str, batch: int, *seconds: float) -> Run:
    return Run("reference", "float32", 64, 96, batch, way, 5, "abc", [sample(each) for each in seconds])


def test_a_ratio_is_taken_within_each_round_and_the_median_over_rounds() -> None:
    ours = [sample(1.0), sample(10.0), sample(2.0)]
    theirs = [sample(2.0), sample(10.0), sample(3.0)]

    assert over(ours, theirs) == pytest.approx(1.5)  # of 2, 1 and 1.5; the medians of the seconds would give 3 / 2


def test_a_ratio_by_cpu_does_not_mind_the_clock() -> None:
    assert over([sample(9.0, cpu_s=1.0)], [sample(1.0, cpu_s=4.0)], by_cpu=True) == pytest.approx(4.0)


def test_rounds_that_one_way_did_not_take_part_in_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        over([sample(1.0), sample(1.0)], [sample(1.0)])


def test_a_batch_without_a_peer_is_null() -> None:
    runs = [run(OURS, 1, 1.0), run("static", 1, 2.0), run(OURS, 16, 1.0)]

    assert ratios(runs, "static", (1, 16, 64)) == {"1": 2.0, "16": None, "64": None}


def test_a_run_tells_its_medians_and_its_raw_samples() -> None:
    told = run(OURS, 16, 1.0, 4.0, 2.0).told()

    assert told["tokens_per_s"] == 50.0
    assert [each["seconds"] for each in told["samples"]] == [1.0, 4.0, 2.0]
    assert (told["seed"], told["commit"]) == (5, "abc")


def test_the_first_difference_of_two_answers() -> None:
    assert first_difference([1, 2, 3], [1, 2, 3]) is None
    assert first_difference([1, 2, 3], [1, 5, 4]) == 1
    with pytest.raises(ValueError, match="longer"):
        first_difference([1, 2], [1, 2, 3])


def test_only_ties_may_differ() -> None:
    equality = Equality(answers=10, tokens=960, divergences=[Divergence(64, 16, 3, 9e-5)])
    assert equality.told()["equal"] == 9
    assert equality.told()["only_ties_differ"] is True

    equality.divergences.append(Divergence(64, 16, 7, 2e-4))
    assert equality.told()["only_ties_differ"] is False
    assert equality.told()["largest_gap"] == 2e-4


def test_nothing_compared_is_not_equal() -> None:
    assert Equality().told()["only_ties_differ"] is None


def test_the_worst_gap_beside_a_long_prompt_is_told_over_the_median_before() -> None:
    steady = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    stalled = [0.0, 1.0, 2.0, 3.0, 6.0, 7.0]

    measured = disturbance([steady, stalled], begun=3.5, first=5.5)

    assert measured.normal == 1.0
    assert measured.worst == 3.0  # from 3 to 6: it began before the prompt came and ended after its first token
    assert measured.ratio == 3.0


def test_gaps_after_the_long_prompts_first_token_do_not_count() -> None:
    measured = disturbance([[0.0, 1.0, 2.0, 3.0, 9.0]], begun=1.5, first=2.5)

    assert measured.worst == 1.0


def test_a_disturbance_needs_gaps_before_and_beside() -> None:
    with pytest.raises(ValueError, match="no gap before"):
        disturbance([[1.0, 2.0]], begun=0.5, first=1.5)
    with pytest.raises(ValueError, match="no gap before"):
        disturbance([[1.0, 2.0]], begun=3.0, first=4.0)


def test_every_figure_comes_from_a_part() -> None:
    assert set(FIGURES_OF) == set(PARTS) - {"others"}
    assert NAMES == (
        "over_static",
        "over_transformers_cb",
        "over_vllm_cpu",
        "outputs_equal",
        "over_transformers_serve_32",
        "mixed_adapters_4_over_none",
        "warm_ttft_over_cold",
        "tbt_during_prefill_over_normal",
    )


def test_a_part_replaces_its_own_runs_and_leaves_those_of_others() -> None:
    report: dict[str, Any] = {}
    merge(report, "reference", {"over_static": {"1": 1.0}, "runs": [run(OURS, 1, 1.0)]})
    merge(report, "others", {"runs": [run(OURS, 16, 1.0)]})

    merge(report, "reference", {"over_static": {"1": 2.0}, "runs": [run(OURS, 1, 0.5), run("static", 1, 1.0)]})

    assert report["over_static"] == {"1": 2.0}
    assert [(each["part"], each["batch"], each["way"]) for each in report["runs"]] == [
        ("others", 16, "ours"),
        ("reference", 1, "ours"),
        ("reference", 1, "static"),
    ]
    json.dumps(report)


@pytest.mark.parametrize("quick", [False, True])
def test_the_figures_are_measured_at_every_batch_by_every_way(quick: bool) -> None:
    loads = reference_loads(quick=quick)

    assert [load.batch for load in loads] == list(BATCHES)
    assert all(load.prompt == 64 and len(load.ways) == 4 for load in loads)


def test_other_runs_have_both_lengths_both_precisions_and_another_model() -> None:
    found = other_loads(quick=False)

    assert {(model, dtype) for model, dtype, _ in found} == {
        ("reference", "float32"),
        ("reference", "bfloat16"),
        ("llama-126m", "float32"),
        ("llama-126m", "bfloat16"),
    }
    assert {load.prompt for _, _, loads in found for load in loads} == {64, 512}
    assert all(64 <= load.new <= 128 for _, _, loads in found for load in loads)
