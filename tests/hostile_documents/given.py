"""Gives files to a real upload and a real worker, as their owner would, and hears what is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from shared.broker.memory import MemoryBroker
from shared.documents import DocumentState
from shared.errors import InputError
from shared.settings import load_settings
from shared.store import Store
from tests.documents import PAGES
from tests.hostile_documents.files import Hostile
from tests.ingest_house import ended, ingest_worker
from web.documents.service import DocumentService
from web.words import load_words

_HANGUL = re.compile("[가-힣]")


class Told(NamedTuple):
    """`code` is empty if the file was taken."""

    file: Hostile
    code: str
    sentence: str


async def given(files: Sequence[Hostile], store: Store, broker: MemoryBroker) -> list[Told]:
    """What each was told, one after another; and a good document after all of them is read, or AssertionError."""
    words = load_words()["ko"]
    service = DocumentService(store, broker, load_settings({}).web)
    told = []
    async with ingest_worker(store, broker):
        for number, file in enumerate(files):
            try:
                document = await service.upload(f"{number}", file.name, file.data)
            except InputError as error:
                told.append(Told(file, error.code, words.explain(error)))
                continue
            found = await ended(store, document)
            code = found.error_code or ""
            told.append(Told(file, code, words.explain_code(code, found.error_facts) if code else ""))
        good = await ended(store, await service.upload("good", "글.txt", PAGES[0].encode()))
    assert good.state is DocumentState.READY, "the worker is alive"
    return told


def unheard(told: Sequence[Told]) -> list[str]:
    """Files that were taken, or refused without a Korean sentence of their own."""
    internal = load_words()["ko"]("error.internal")
    return [
        f"{each.file.name}: {each.code or 'taken'}"
        for each in told
        if not each.code or each.sentence == internal or not _HANGUL.search(each.sentence)
    ]
