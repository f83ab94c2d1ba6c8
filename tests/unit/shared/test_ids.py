"""Ids: UUIDv7 strings."""

from __future__ import annotations

import time
import uuid

import pytest

from shared.ids import is_id, new_id


def test_id_is_a_version_7_uuid_of_now() -> None:
    before = time.time_ns() // 1_000_000

    parsed = uuid.UUID(new_id())

    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= parsed.int >> 80 <= time.time_ns() // 1_000_000


def test_later_ids_sort_after_earlier_ones() -> None:
    first = new_id()
    made_ms = uuid.UUID(first).int >> 80
    while time.time_ns() // 1_000_000 == made_ms:
        pass

    assert first < new_id()


def test_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("text", ["", "1", "../etc", "A" * 36, "0192f0c1-7b1d-7000-8000-00000000000G", "\x00"])
def test_other_text_is_no_id(text: str) -> None:
    assert not is_id(text)
    assert is_id(new_id())
    assert not is_id(new_id().upper())
