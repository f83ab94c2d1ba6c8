"""A sample of the 200 files of `make hostile`: of every family the first of each kind."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.hostile_documents.files import Hostile, hostile_files
from tests.hostile_documents.given import given, unheard

_SEED = 7


@pytest.mark.timeout(240)
async def test_each_gets_a_korean_sentence_and_the_worker_lives(store: Store, memory_broker: MemoryBroker) -> None:
    sample: dict[tuple[str, str], Hostile] = {}
    for file in hostile_files(_SEED):
        sample.setdefault((file.family, PurePosixPath(file.name).suffix), file)

    told = await given(list(sample.values()), store, memory_broker)

    assert unheard(told) == []
    codes = {(each.file.family, PurePosixPath(each.file.name).suffix): each.code for each in told}
    assert codes["bomb", ".docx"] == codes["bomb", ".png"] == "document_unpacks_too_far"
    assert codes["encrypted", ".pdf"] == codes["encrypted", ".docx"] == "document_encrypted"
    assert codes["macro", ".docx"] == "document_has_macros"
    assert codes["many_pages", ".pdf"] == "document_too_many_pages"
