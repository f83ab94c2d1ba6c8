"""Whole characters only, never taken back, and the same text from the same ids however they arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.workers.tokenizers_for_tests import byte_fallback, byte_level
from workers.detokenizer import Detokenizer

TOKENIZERS = [byte_level, byte_fallback]

_PIECES = st.one_of(
    st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=6),  # syllables
    st.text(st.characters(min_codepoint=0x1100, max_codepoint=0x11FF, categories=["Lo"]), max_size=4),  # jamo
    st.sampled_from(["👨‍👩‍👧‍👦", "🇰🇷", "❤️", "👍🏽", "😀", "ㅋㅋ", "é", "①", "漢字", " ", "\n", "1️⃣", "e\u0301"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\ufffd\u2581\x00"), max_size=5),
)
_TEXTS = st.lists(_PIECES, max_size=12).map("".join)


def _spell_out(tokenizer: Any, text: str, data: st.DataObject) -> list[int]:
    """Any token split of `text`: cut it at random code points and tokenise every piece by itself, or byte by byte."""
    if tokenizer is byte_fallback():
        return list(tokenizer.encode(text, add_special_tokens=False))
    ids: list[int] = []
    rest = text
    while rest:
        length = data.draw(st.integers(1, len(rest)))
        piece, rest = rest[:length], rest[length:]
        if data.draw(st.booleans()):
            ids += tokenizer.encode(piece, add_special_tokens=False)
        else:
            letters = "".join(tokenizer.tokenize(piece))
            ids += [tokenizer.convert_tokens_to_ids(letter) for letter in letters]
    return ids


def _stream(tokenizer: Any, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.push(token_id) for token_id in ids), detokenizer.finish()]


@pytest.mark.parametrize("make_tokenizer", TOKENIZERS)
@settings(max_examples=300, deadline=None)
@given(text=_TEXTS, data=st.data())
def test_any_token_split_of_any_text_rejoins_exactly(
    make_tokenizer: Callable[[], Any], text: str, data: st.DataObject
) -> None:
    tokenizer = make_tokenizer()
    ids = _spell_out(tokenizer, text, data)

    assert "".join(_stream(tokenizer, ids)) == text


@pytest.mark.parametrize("make_tokenizer", TOKENIZERS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_token_ids_give_text_without_replacement_characters_that_grows_only(
    make_tokenizer: Callable[[], Any], data: st.DataObject
) -> None:
    tokenizer = make_tokenizer()
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=150))
    detokenizer = Detokenizer(tokenizer)
    so_far = ""

    for count, token_id in enumerate(ids, 1):
        so_far += detokenizer.push(token_id)
        assert detokenizer.text == so_far
        assert Detokenizer(tokenizer, ids[:count]).text == so_far if count % 7 == 0 else True
    so_far += detokenizer.finish()

    assert detokenizer.text == so_far
    assert "\ufffd" not in so_far


@settings(max_examples=300, deadline=None)
@given(ids=st.lists(st.integers(0, len(byte_level()) - 1), max_size=200))
def test_byte_level_text_equals_the_one_shot_decode_without_replacement_characters(ids: list[int]) -> None:
    expected = byte_level().decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    assert "".join(_stream(byte_level(), ids)) == expected.replace("\ufffd", "")


@pytest.mark.parametrize("make_tokenizer", TOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(text=_TEXTS, data=st.data())
def test_a_second_worker_continues_the_text_at_every_cut(
    make_tokenizer: Callable[[], Any], text: str, data: st.DataObject
) -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer.encode(text, add_special_tokens=False)
    cut = data.draw(st.integers(0, len(ids)))
    first = Detokenizer(tokenizer, ids[:cut])

    second = Detokenizer(tokenizer, ids[:cut])

    assert second.text == first.text
    rest = [*(second.push(token_id) for token_id in ids[cut:]), second.finish()]
    assert first.text + "".join(rest) == text


def test_an_incomplete_character_at_the_end_is_dropped() -> None:
    ids = byte_level().encode("가나", add_special_tokens=False)
    broken = [byte_level().convert_tokens_to_ids(letter) for letter in "".join(byte_level().tokenize("다"))][:2]

    assert "".join(_stream(byte_level(), ids + broken)) == "가나"


def test_control_tokens_are_never_shown() -> None:
    tokenizer = byte_level()
    ids = [*tokenizer.encode("안녕", add_special_tokens=False), tokenizer.eos_token_id]

    assert "".join(_stream(tokenizer, ids)) == "안녕"


@pytest.mark.parametrize("cluster", ["👨‍👩‍👧‍👦", "🇰🇷", "❤️", "👍🏽", "\u1100\u1161\u11a8"])
def test_a_joined_character_is_shown_in_one_piece(cluster: str) -> None:
    letters = "".join(byte_level().tokenize(f"가{cluster}나"))
    ids = [byte_level().convert_tokens_to_ids(letter) for letter in letters]

    pieces = _stream(byte_level(), ids)

    assert [piece for piece in pieces if piece] == ["가", f"{cluster}나"]


def test_the_cost_of_a_token_does_not_grow_with_the_answer() -> None:
    decoded: list[int] = []

    class Counting:
        def decode(self, token_ids: list[int], **options: bool) -> str:
            decoded.append(len(token_ids))
            return str(byte_level().decode(token_ids, **options))

    detokenizer = Detokenizer(Counting())
    for token_id in byte_level().encode("안녕하세요 반갑습니다 " * 200, add_special_tokens=False):
        detokenizer.push(token_id)

    assert max(decoded) <= 64


def _answer_before(text: str, stops: list[str]) -> str:
    """One character after the other, until one of `stops` is complete."""
    for end in range(1, len(text) + 1):
        if met := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, met))]
    return text


_FEW = st.text(st.sampled_from("가나 a\n"), min_size=1, max_size=4)  # so that stop texts are met and half met


@settings(max_examples=400, deadline=None)
@given(text=st.text(st.sampled_from("가나 a\n"), max_size=25), stops=st.lists(_FEW, max_size=4), data=st.data())
def test_the_answer_ends_before_the_first_stop_text_whatever_the_tokens(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    ids = _spell_out(byte_level(), text, data)
    expected = _answer_before(text, stops)
    detokenizer = Detokenizer(byte_level(), stop=stops)

    for cut, token_id in enumerate(ids, 1):
        detokenizer.push(token_id)
        assert expected.startswith(detokenizer.text)  # so no part of a stop text is ever shown
        assert Detokenizer(byte_level(), ids[:cut], stop=stops).text == detokenizer.text
    detokenizer.finish()

    assert detokenizer.text == expected
    assert detokenizer.is_stopped == (expected != text)


def test_the_models_own_stop_text_ends_the_answer_beside_those_asked_for() -> None:
    ids = byte_level().encode("하나\n사용자: 둘", add_special_tokens=False)
    detokenizer = Detokenizer(byte_level(), ids, stop_text="\n사용자:", stop=("둘",))

    assert detokenizer.text == "하나"
    assert detokenizer.is_stopped


def test_the_answer_ends_before_the_stop_text_and_no_part_of_it_is_shown() -> None:
    tokenizer = byte_level()
    ids = tokenizer.encode("네, 좋아요.\n사용자: 또", add_special_tokens=False)
    detokenizer = Detokenizer(tokenizer, stop_text="\n사용자:")

    shown = [detokenizer.push(token_id) for token_id in ids]

    assert "".join(shown) == "네, 좋아요."
    assert detokenizer.is_stopped
    assert detokenizer.finish() == ""


def test_a_begun_stop_text_is_shown_when_the_answer_goes_on_otherwise() -> None:
    tokenizer = byte_level()
    text = "네.\n사용 설명서입니다\n사용"
    detokenizer = Detokenizer(tokenizer, stop_text="\n사용자:")

    for token_id in tokenizer.encode(text, add_special_tokens=False):
        detokenizer.push(token_id)
    detokenizer.finish()

    assert detokenizer.text == text
    assert not detokenizer.is_stopped
