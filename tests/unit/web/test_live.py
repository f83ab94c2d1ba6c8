"""A watched answer is what its worker wrote, whatever the broker loses, repeats or brings late."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from shared.chat import GenerationState, TokenLogprob
from shared.messages import Frame, FrameToken
from tests.factories import generation
from web.chat.blocks import Block, finished_blocks
from web.chat.live import LiveAnswer

_GENERATION = generation(state=GenerationState.RUNNING, attempt=1, worker_id="w")
_TEXTS = st.lists(
    st.sampled_from(["가", "나다", "🙂", "각", "\n", "\n\n", "- ", "```\n", "**용어(Term)**을 ", "e\u0301"])
).map("".join)


def _frame(offset: int, text: str, attempt: int = 1) -> Frame:
    return Frame(generation_id=_GENERATION.id, attempt=attempt, offset=offset, text=text)


@dataclass
class _Browser:
    """What answer.js does, in Python: cut, append, settle."""

    text: str = ""
    settled: int = 0

    def take(self, news: tuple[int, str, list[Block]] | None) -> None:
        if news is None:
            return
        offset, text, blocks = news
        assert offset <= len(self.text)
        if offset < self.settled:
            self.settled = 0 if offset == 0 else offset
        self.text = self.text[:offset] + text
        for block in blocks:
            if block.start < self.settled:
                continue
            assert block.start == self.settled
            assert block == Block(block.start, block.end, block.html)
            self.settled = block.end


def _live(text: str = "", attempt: int = 1) -> LiveAnswer:
    answer = LiveAnswer(_GENERATION.id)
    answer.apply_document(replace(_GENERATION, answer=text, attempt=attempt))
    return answer


@given(_TEXTS, st.data())
async def test_lost_repeated_and_late_frames_never_lose_or_double_a_character(text: str, data: st.DataObject) -> None:
    answer = _live()
    browser, late = _Browser(), _Browser()
    with answer.cursor(1, 0) as cursor:
        for _ in range(data.draw(st.integers(0, 12))):
            start = data.draw(st.integers(0, len(text)))
            end = data.draw(st.integers(start, len(text)))
            answer.apply_frame(_frame(start, text[start:end]))
            assert text.startswith(answer.text)
            await answer.settle()
            browser.take(answer.news(cursor))
            assert browser.text == answer.text
        answer.apply_frame(_frame(len(answer.text), text[len(answer.text) :]))
        await answer.settle()
        browser.take(answer.news(cursor))
        assert answer.news(cursor) is None
    with answer.cursor(1, 0) as cursor:
        late.take(answer.news(cursor))

    assert browser.text == late.text == answer.text == text
    assert not answer.has_gap
    assert answer.blocks == finished_blocks(text)


@given(_TEXTS, _TEXTS, _TEXTS, st.data())
async def test_a_new_attempt_goes_on_from_the_checkpoint(kept: str, lost: str, anew: str, data: st.DataObject) -> None:
    """What the dead worker sent after its last checkpoint may differ from what the next one writes."""
    answer = _live()
    browser = _Browser()
    with answer.cursor(1, 0) as cursor:
        answer.apply_frame(_frame(0, kept + lost))
        await answer.settle()
        browser.take(answer.news(cursor))
        if data.draw(st.booleans()):
            answer.apply_document(replace(_GENERATION, answer=kept, attempt=2))
        answer.apply_frame(_frame(len(kept), anew, attempt=2))
        answer.apply_frame(_frame(len(kept), lost, attempt=1))
        await answer.settle()
        browser.take(answer.news(cursor))

    assert answer.text == browser.text == kept + anew
    assert answer.attempt == 2
    assert answer.blocks == finished_blocks(kept + anew)


@given(_TEXTS, st.integers(0, 99), st.integers(0, 2))
async def test_a_browser_that_comes_back_gets_exactly_what_it_has_not(text: str, position: int, attempt: int) -> None:
    position = min(position, len(text))
    browser = _Browser(text[:position] if attempt == 1 else "다" * position)
    answer = _live(text)
    await answer.settle()
    with answer.cursor(attempt, position) as cursor:
        browser.take(answer.news(cursor))

    assert browser.text == text


def test_a_gap_is_noticed_and_filled() -> None:
    answer = _live()
    answer.apply_frame(_frame(2, "다"))

    assert (answer.has_gap, answer.text) == (True, "")

    answer.apply_frame(_frame(0, "가나다"))

    assert (answer.has_gap, answer.text) == (False, "가나다")


def test_a_browser_ahead_of_this_node_is_not_cut_back() -> None:
    answer = _live("가나")
    with answer.cursor(1, 3) as cursor:
        assert answer.news(cursor) is None
        answer.apply_frame(_frame(2, "다라"))
        assert answer.news(cursor) == (3, "라", [])


def test_a_checkpoint_behind_the_frames_takes_nothing_back() -> None:
    answer = _live()
    answer.apply_frame(_frame(0, "가나다"))
    answer.apply_document(replace(_GENERATION, answer="가"))

    assert answer.text == "가나다"


def test_the_final_document_wins() -> None:
    answer = _live()
    answer.apply_frame(_frame(0, "가나다"))
    answer.apply_document(replace(_GENERATION, answer="가나", state=GenerationState.STOPPED))
    answer.apply_frame(_frame(2, "다"))

    assert (answer.text, answer.is_over) == ("가나", True)


def test_waiting_again_still_reads_as_running() -> None:
    answer = _live("가")
    answer.apply_document(replace(_GENERATION, answer="가", state=GenerationState.QUEUED, worker_id=None))

    assert answer.state is GenerationState.QUEUED
    assert answer.shown_state is GenerationState.RUNNING


def test_a_deleted_answer_is_over() -> None:
    answer = _live("가")
    answer.apply_document(None)

    assert answer.is_over
    assert answer.shown_state is GenerationState.STOPPED


async def test_whoever_waits_is_woken_by_news() -> None:
    answer = _live()
    seen = answer.version
    waiting = [asyncio.ensure_future(answer.change(seen, 60)) for _ in range(2)]
    await asyncio.sleep(0)
    answer.apply_frame(_frame(0, "가"))

    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
        await answer.change(seen, 60)
    assert answer._waiting == []


async def test_whoever_waits_in_vain_or_leaves_is_forgotten() -> None:
    answer = _live()
    leaving = asyncio.ensure_future(answer.change(answer.version, 60))
    await answer.change(answer.version, 0.01)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert leaving.cancelled()
    assert answer._waiting == []


def test_a_cursor_that_left_is_forgotten() -> None:
    answer = _live()
    with answer.cursor(1, 0):
        pass

    assert answer._cursors == []


async def test_a_very_long_block_is_not_searched_for_every_line() -> None:
    answer = _live()
    code = "```\n" + "가나다라\n" * 4000
    answer.apply_frame(_frame(0, code))
    await answer.settle()
    searched = answer._parsed
    answer.apply_frame(_frame(len(code), "마\n"))
    await answer.settle()

    assert searched == answer._parsed == len(code)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_logprobs_known_are_those_of_the_text_known(lengths: list[int], data: st.DataObject) -> None:
    """`lengths`: of the tokens' texts; those of none begin where the next one does, like the bytes of one character."""
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    every = tuple(TokenLogprob(bytes([place]), -place / 2, start=start) for place, start in enumerate(starts))
    text = "가" * sum(lengths)
    answer, attempt = _live(), 1
    for _ in range(data.draw(st.integers(0, 12))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, len(text)))
        attempt += data.draw(st.sampled_from([0, 0, 0, 1]))
        if data.draw(st.booleans()):
            tokens = tuple(
                FrameToken(start=each.start, spelled=each.bytes, logprob=each.logprob)
                for each in every
                if begin <= each.start < end
            )
            answer.apply_frame(_frame(begin, text[begin:end], attempt).model_copy(update={"tokens": tokens}))
        else:
            answer.apply_document(replace(_GENERATION, answer=text[:end], attempt=attempt, logprobs=every))

        assert answer.logprobs == tuple(each for each in every if each.start < len(answer.text))
