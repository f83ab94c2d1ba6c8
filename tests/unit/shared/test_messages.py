"""Wire messages: one example file per kind and version, strict when made, tolerant when read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.messages import AnyMessage, Frame, FrameToken, MessageUnreadable, TokensGenerated, decode, encode

EXAMPLES = Path(__file__).resolve().parents[2] / "contract" / "messages"
KINDS = {kind.model_fields["kind"].default: kind for kind in get_args(get_args(AnyMessage)[0])}

texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_example_of_every_version_is_still_read(path: Path) -> None:
    message = decode(path.read_bytes())

    kind, _, version = path.stem.rpartition(".v")
    assert (message.kind, message.version) == (kind, int(version))
    assert decode(encode(message)) == message


def test_every_kind_has_an_example() -> None:
    assert {path.stem.rpartition(".v")[0] for path in EXAMPLES.glob("*.json")} == set(KINDS)


def test_fields_of_a_newer_sender_are_ignored() -> None:
    newer = json.loads((EXAMPLES / "generate_reply.v1.json").read_bytes()) | {"priority": 3}

    assert decode(json.dumps(newer).encode()).kind == "generate_reply"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"kind": "unknown"}', b'{"kind": "generate_reply", "version": 2}'],
)
def test_other_bytes_are_one_clear_error(body: bytes) -> None:
    with pytest.raises(MessageUnreadable, match="not a message of ours"):
        decode(body)


def test_frame_with_a_negative_offset_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Frame(generation_id="a", attempt=1, offset=-1, text="")


@given(st.binary(max_size=8), st.floats(-9999, 0), st.lists(st.tuples(st.binary(max_size=4), st.floats(-9999, 0))))
def test_bytes_that_are_no_text_survive_the_wire(
    spelled: bytes, logprob: float, top: list[tuple[bytes, float]]
) -> None:
    token = FrameToken(start=3, spelled=spelled, logprob=logprob, top=tuple(top))
    frame = Frame(generation_id="a", attempt=1, offset=3, text="가", tokens=(token,))
    message = TokensGenerated(worker_id="w", frames=(frame,))

    assert decode(encode(message)) == message


@given(st.lists(st.tuples(st.integers(0, 10**6), texts), max_size=5))
def test_any_text_survives_the_wire(pieces: list[tuple[int, str]]) -> None:
    frames = tuple(Frame(generation_id="a", attempt=1, offset=offset, text=text) for offset, text in pieces)
    message = TokensGenerated(worker_id="w", frames=frames)

    assert decode(encode(message)) == message
