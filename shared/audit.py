"""The audit chain's rule: who did what to whom, each record bound to the one before it.

    hash = SHA-256(canonical JSON of the whole document but its hash: number, time, actor, action, target, facts,
                   hash of the record before)

Changing, deleting or reordering records breaks the chain at that place. Cutting its end does not, so a head record
kept apart says how far it had come. Whoever can rewrite everything, head included, is caught only by a head that was
noted elsewhere: `nunmal audit verify` prints it, and takes an earlier one back with `--head`.

Records hold ids, roles and numbers, never what people wrote, names or secrets. Nothing here does I/O.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.errors import AuditBroken

GENESIS = "0" * 64  # stands for the hash before the first record


class AuditAction(StrEnum):
    """Everything that is recorded. `target` is the id after the colon."""

    USER_CREATED = "user_created"  # by a command: user
    ACCOUNT_DELETED = "account_deleted"  # by its owner: user
    ROLE_CHANGED = "role_changed"  # user; facts: before, after
    RESET_LINK_MADE = "reset_link_made"  # user; facts: second_step (kept, removed)
    SECOND_STEP_REMOVED = "second_step_removed"  # user; with a new password, by an operator's link
    KEY_MADE = "key_made"  # key; facts: owner, scopes
    KEY_REVOKED = "key_revoked"  # key; facts: owner
    DEAD_REPLAYED = "dead_replayed"  # generation
    DEAD_DROPPED = "dead_dropped"  # generation
    WORKER_DRAIN_ASKED = "worker_drain_asked"  # worker; by an operator
    WORKER_DRAINED = "worker_drained"  # worker; facts: lane
    ACCESS_GRANTED = "access_granted"  # owner of conversations; facts: grant, minutes, reason_sha256
    ACCESS_ENDED = "access_ended"  # owner; facts: grant
    CONVERSATIONS_LISTED = "conversations_listed"  # owner; facts: grant
    CONVERSATION_READ = "conversation_read"  # conversation; facts: grant, owner
    ADAPTER_PUSHED = "adapter_pushed"  # version; facts: digest
    ADAPTER_ACTIVATED = "adapter_activated"  # version: its roll-out was asked for
    GATE_OVERRIDDEN = "gate_overridden"  # version, which is rolled out all the same; facts: reason_sha256
    ADAPTER_CANARY = "adapter_canary"  # version: likewise, for a share; facts: percent
    ADAPTER_ROLLED_BACK = "adapter_rolled_back"  # name
    ADAPTER_RETIRED = "adapter_retired"  # version
    VOTES_EXPORTED = "votes_exported"  # "votes": the words of those who agreed, by a command


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: number and hash of its last record."""

    number: int
    hash: str


BEGINNING = Head(0, GENESIS)


def hash_of(document: dict[str, Any]) -> str:
    """What the record's `hash` must be. Whatever else somebody put into the document counts too."""
    content = {name: value for name, value in document.items() if name != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class ChainWalk:
    """Reads a chain from its beginning. `head` was read before the records; `noted` is a hash from outside or ""."""

    def __init__(self, head: Head | None, noted: str = "") -> None:
        self.at = BEGINNING
        self._head = head
        self._awaits_noted = noted not in ("", GENESIS)
        self._noted = noted

    def follow(self, document: dict[str, Any]) -> None:
        """The next record, as the store has it. Raises AuditBroken."""
        number = self.at.number + 1
        if document.get("_id") != number:
            raise _broken(number, f"missing; the next one there is {document.get('_id')}")
        if document.get("previous") != self.at.hash:
            raise _broken(number, "does not continue the record before it")
        if document.get("hash") != hash_of(document):
            raise _broken(number, "is not what was written")
        self.at = Head(number, document["hash"])
        if self._head and self._head.number == number and self._head.hash != self.at.hash:
            raise _broken(number, "is not the one that the head names")
        self._awaits_noted = self._awaits_noted and self._noted != self.at.hash

    def finish(self) -> Head:
        """After the last record: where the chain ends. Raises AuditBroken."""
        if self._head is None and self.at.number:
            raise _broken(self.at.number, "the head is missing, so records after it may be missing too")
        if self._head and self._head.number > self.at.number:
            raise _broken(self.at.number + 1, f"missing; the head says that there were {self._head.number}")
        if self._awaits_noted:
            raise _broken(self.at.number, f"the chain up to here does not hold the noted head {self._noted}")
        return self.at


def _broken(number: int, reason: str) -> AuditBroken:
    return AuditBroken(f"the audit chain is broken at record {number}: {reason}", number=number)
