"""The rule of the audit chain: what was changed, deleted, reordered or cut is named by its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.audit import GENESIS, AuditAction, ChainWalk, Head, hash_of
from shared.errors import AuditBroken

Chain = list[dict[str, Any]]


def _chain(length: int = 5) -> Chain:
    chain: Chain = []
    previous = GENESIS
    for number in range(1, length + 1):
        document: dict[str, Any] = {
            "_id": number,
            "at": f"2026-05-01T03:00:0{number}.000000+00:00",
            "actor": "command:root",
            "action": str(AuditAction.KEY_MADE),
            "target": f"key-{number}",
            "facts": {"scopes": "chat"},
            "previous": previous,
        }
        document["hash"] = previous = hash_of(document)
        chain.append(document)
    return chain


def _head(chain: Chain) -> Head:
    return Head(chain[-1]["_id"], chain[-1]["hash"])


def _walk(chain: Chain, head: Head | None, noted: str = "") -> Head:
    walk = ChainWalk(head, noted)
    for document in chain:
        walk.follow(document)
    return walk.finish()


def _rehash(chain: Chain, begin: int) -> None:
    """What somebody does who knows the rule and can write the records, but not the head."""
    for at in range(begin, len(chain)):
        chain[at]["previous"] = chain[at - 1]["hash"] if at else GENESIS
        chain[at]["hash"] = hash_of(chain[at])


def test_an_untouched_chain_ends_at_its_head() -> None:
    chain = _chain()

    assert _walk(chain, _head(chain)) == _head(chain)
    assert _walk([], None) == Head(0, GENESIS)


def test_a_head_may_lag_behind_the_records() -> None:
    chain = _chain()

    assert _walk(chain, _head(chain[:3])) == _head(chain)


def _change_actor(chain: Chain) -> None:
    chain[2]["actor"] = "command:somebody"


def _change_fact(chain: Chain) -> None:
    chain[2]["facts"]["scopes"] = "chat,jobs"


def _add_field(chain: Chain) -> None:
    chain[2]["approved_by"] = "somebody"


def _remove_field(chain: Chain) -> None:
    del chain[2]["target"]


def _change_hash(chain: Chain) -> None:
    chain[2]["hash"] = "f" * 64


def _remove_hash(chain: Chain) -> None:
    del chain[2]["hash"]


def _delete(chain: Chain) -> None:
    del chain[2]


def _swap(chain: Chain) -> None:
    chain[2], chain[3] = chain[3], chain[2]


def _swap_and_renumber(chain: Chain) -> None:
    _swap(chain)
    chain[2]["_id"], chain[3]["_id"] = 3, 4


@pytest.mark.parametrize(
    "tamper",
    [
        _change_actor,
        _change_fact,
        _add_field,
        _remove_field,
        _change_hash,
        _remove_hash,
        _delete,
        _swap,
        _swap_and_renumber,
    ],
)
def test_tampering_is_named_by_the_first_record_it_touched(tamper: Callable[[Chain], None]) -> None:
    chain = _chain()
    head = _head(chain)

    tamper(chain)

    with pytest.raises(AuditBroken, match="at record 3") as caught:
        _walk(chain, head)
    assert caught.value.facts["number"] == 3


def test_a_changed_record_with_a_new_hash_breaks_the_next_one() -> None:
    chain = _chain()
    head = _head(chain)
    _change_actor(chain)
    chain[2]["hash"] = hash_of(chain[2])

    with pytest.raises(AuditBroken, match="at record 4"):
        _walk(chain, head)


def test_a_rewritten_rest_does_not_end_in_the_head() -> None:
    chain = _chain()
    head = _head(chain)
    _change_actor(chain)
    _rehash(chain, 2)

    with pytest.raises(AuditBroken, match="at record 5: is not the one that the head names"):
        _walk(chain, head)


def test_a_cut_end_is_missed_by_the_head() -> None:
    chain = _chain()

    with pytest.raises(AuditBroken, match="at record 4: missing; the head says that there were 5"):
        _walk(chain[:3], _head(chain))


def test_a_removed_head_is_missed() -> None:
    with pytest.raises(AuditBroken, match="the head is missing"):
        _walk(_chain(), None)


def test_whoever_rewrote_everything_lacks_the_head_noted_elsewhere() -> None:
    chain = _chain()
    noted = chain[3]["hash"]
    assert _walk(chain, _head(chain), noted) == _head(chain)
    _change_actor(chain)
    _rehash(chain, 2)

    with pytest.raises(AuditBroken, match=f"does not hold the noted head {noted}"):
        _walk(chain, _head(chain), noted)
    with pytest.raises(AuditBroken, match="noted head"):
        _walk([], None, noted)


def test_a_value_of_another_kind_is_another_value() -> None:
    (document,) = _chain(1)
    values = ("5", 5, 5.5, True, None, [5], {"5": 5})

    assert len({hash_of({**document, "facts": {"minutes": value}}) for value in values}) == len(values)
