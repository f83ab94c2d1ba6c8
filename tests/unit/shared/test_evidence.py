"""Evidence is JSON both ways, strict when made and tolerant when read; its example is what is sent and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.evidence import Evidence, EvidenceObject, PictureEvidence

_EXAMPLE = Path(__file__).parents[2] / "contract" / "evidence.v1.json"
_ID = "019aa7c6-6d1e-7c3a-9d52-3f8a5f0b7c11"


def ball(**changes: Any) -> dict[str, Any]:
    return {"number": 1, "box": (0.1, 0.25, 0.5, 0.75), "name": "빨간 공", "used": True} | changes


def test_the_example_reads_as_what_it_says_and_back() -> None:
    evidence = Evidence.model_validate_json(_EXAMPLE.read_text("utf-8"))

    cube = EvidenceObject(number=2, box=(0.0, 0.0, 1.0, 1.0), name="큰 금속 정육면체", used=False)
    pictures = (PictureEvidence(picture_id=_ID, objects=(EvidenceObject(**ball()), cube)),)
    assert evidence == Evidence(source="both", pictures=pictures)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"box": (0.5, 0.1, 0.4, 0.2)},
        {"box": (0.1, 0.5, 0.2, 0.4)},
        {"box": (-0.1, 0, 1, 1)},
        {"box": (0, 0, 1, 1.1)},
        {"box": (0, 0, float("nan"), 1)},
        {"box": (0, 0, 1)},
        {"number": 0},
    ],
)
def test_a_box_outside_its_picture_is_no_evidence(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EvidenceObject(**ball(**changes))


def test_nobody_else_answered() -> None:
    with pytest.raises(ValidationError):
        Evidence.model_validate({"source": "somebody", "pictures": []})
