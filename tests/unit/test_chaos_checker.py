"""The checker of `make chaos` must see every fault, and none where there is none."""

from __future__ import annotations

import pytest

from tests.chaos.checker import Answer, Difference, Stored, difference, gap_s, judge, percentile
from tests.chaos.transcript import Transcript

PROMPT, TRUTH = "하늘은 왜 파란가요?", "햇빛이 공기에 부딪혀 흩어지기 때문이에요."


def read(*pieces: tuple[int, str], done: str | None = TRUTH, state: str = "done") -> Transcript:
    """A transcript after text events (offset, text) of one connection and, unless None, the final page."""
    transcript = Transcript()
    transcript.connect()
    transcript.apply("state", "", {"state": "running", "note": ""}, 0.0)
    for at, (offset, text) in enumerate(pieces):
        transcript.apply("text", f"1.{offset + len(text)}", {"offset": offset, "text": text, "blocks": []}, float(at))
    if done is not None:
        transcript.apply("done", "", {"state": state, "html": f"<p>{done}</p>\n", "note": ""}, 99.0)
    return transcript


def asked(transcript: Transcript, *, is_poison: bool = False, is_refused: bool = False) -> Answer:
    return Answer(PROMPT, "one", transcript, is_poison=is_poison, is_refused=is_refused)


def verdict_on(answer: Answer, stored: Stored | None = None, busy: int = 0) -> tuple[int, int, int, int]:
    document = stored or Stored("done", TRUTH)
    verdict = judge([answer], {PROMPT: TRUTH}, {"one": document} if document.state else {}, busy)
    return verdict.lost_prompts, verdict.lost_chars, verdict.doubled_chars, verdict.orphan_runs


class TestTranscript:
    def test_cuts_to_the_offset_and_appends(self) -> None:
        transcript = read((0, TRUTH[:9]), (4, TRUTH[4:12]), (12, TRUTH[12:]))

        assert transcript.text == TRUTH
        assert transcript.altered == 0
        assert transcript.event_id == f"1.{len(TRUTH)}"

    def test_counts_only_growth_beyond_what_was_ever_visible(self) -> None:
        transcript = read((0, TRUTH[:9]), (4, TRUTH[4:6]), (6, TRUTH[6:9]), (9, TRUTH[9:]), done=None)

        assert transcript.grown_at == [0.0, 3.0]

    def test_counts_characters_that_come_back_as_others(self) -> None:
        transcript = read((0, TRUTH[:9]), (4, "다른"), (6, TRUTH[6:]), done=None)

        assert transcript.altered == 2

    def test_takes_the_rest_from_the_final_page_if_the_answer_ended_while_it_was_away(self) -> None:
        transcript = read((0, TRUTH[:9]), done=None)
        transcript.connect()
        transcript.apply("done", "", {"state": "done", "html": f"<p>{TRUTH}</p>\n", "note": ""}, 5.0)

        assert transcript.is_over
        assert transcript.text == TRUTH
        assert transcript.grown_at == [0.0, 5.0]

    def test_a_stream_that_was_followed_must_have_told_everything(self) -> None:
        assert read((0, TRUTH[:9])).text == TRUTH[:9]


class TestJudge:
    def test_finds_nothing_where_nothing_is_wrong(self) -> None:
        assert verdict_on(asked(read((0, TRUTH[:5]), (5, TRUTH[5:])))) == (0, 0, 0, 0)

    def test_finds_lost_characters_in_the_stream(self) -> None:
        assert verdict_on(asked(read((0, TRUTH[:5]), (5, TRUTH[8:])))) == (0, 3, 0, 0)

    def test_finds_doubled_characters_in_the_stream(self) -> None:
        assert verdict_on(asked(read((0, TRUTH[:5]), (5, TRUTH[2:])))) == (0, 0, 3, 0)

    def test_finds_what_only_the_final_page_lacks(self) -> None:
        assert verdict_on(asked(read((0, TRUTH), done=TRUTH[:-2]))) == (0, 2, 0, 0)

    def test_finds_what_only_the_store_has_twice(self) -> None:
        assert verdict_on(asked(read((0, TRUTH))), Stored("done", TRUTH + TRUTH[-2:])) == (0, 0, 2, 0)

    def test_rewound_characters_that_came_back_as_others_are_lost_and_doubled(self) -> None:
        wrong = "가나" + TRUTH[2:5]

        assert verdict_on(asked(read((0, wrong), (0, TRUTH)))) == (0, 2, 2, 0)

    @pytest.mark.parametrize(
        "stored", [Stored("", ""), Stored("failed", TRUTH), Stored("stopped", TRUTH)], ids=["gone", "failed", "stopped"]
    )
    def test_question_without_its_answer_in_the_store_is_lost(self, stored: Stored) -> None:
        assert verdict_on(asked(read((0, TRUTH))), stored) == (1, 0, 0, 0)

    def test_question_whose_answer_never_reached_its_person_is_lost(self) -> None:
        assert verdict_on(asked(read((0, TRUTH), done=None))) == (1, 0, 0, 0)

    def test_poison_ought_to_fail(self) -> None:
        failed = Stored("failed", "")

        assert verdict_on(asked(read(done="", state="failed"), is_poison=True), failed) == (0, 0, 0, 0)
        assert verdict_on(asked(read((0, TRUTH)), is_poison=True)) == (1, 0, 0, 0)

    @pytest.mark.parametrize("state", ["queued", "running"])
    def test_question_that_nobody_works_on_is_lost_and_an_orphan(self, state: str) -> None:
        assert verdict_on(asked(read(done=None)), Stored(state, "")) == (1, 0, 0, 1)

    def test_slot_held_by_an_answer_that_is_over_is_an_orphan(self) -> None:
        assert verdict_on(asked(read((0, TRUTH))), busy=1) == (0, 0, 0, 1)

    def test_refused_question_is_not_asked_and_must_not_be_kept(self) -> None:
        assert verdict_on(asked(Transcript(), is_refused=True), Stored("", "")) == (0, 0, 0, 0)
        assert verdict_on(asked(Transcript(), is_refused=True)) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("가나다라마", Difference()),
        ("가나라마", Difference(lost=1)),
        ("가나다다라마", Difference(doubled=1)),
        ("가나사라마", Difference(lost=1, doubled=1)),
        ("", Difference(lost=5)),
    ],
)
def test_difference_counts_edits(text: str, expected: Difference) -> None:
    assert difference("가나다라마", text) == expected


@pytest.mark.parametrize(
    ("grown_at", "expected"),
    [
        ([9.0, 12.5, 12.6], 2.5),
        ([10.05, 10.1, 13.0], 3.0),  # two were under way
        ([10.05, 10.1, 10.15, 10.2, 10.3, 10.4], 0.05),  # it never stood still
        ([10.05, 10.1], 0.05),  # it ended with what was under way
        ([8.0, 9.0], None),
    ],
)
def test_gap_goes_to_the_next_character_that_was_not_under_way(grown_at: list[float], expected: float | None) -> None:
    assert gap_s(10.0, grown_at) == (None if expected is None else pytest.approx(expected))


def test_percentile_is_one_of_the_samples() -> None:
    assert [percentile([3.0, 1.0, 2.0], percent) for percent in (0, 50, 99)] == [1.0, 2.0, 3.0]
