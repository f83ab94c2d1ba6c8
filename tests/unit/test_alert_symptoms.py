"""`make alerts` must know every alert, and may change nothing of a rule but how long it takes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import yaml

from tests.alerts.__main__ import shortened
from tests.alerts.symptoms import SYMPTOMS, again_and_again
from tests.contract.promql import PROMETHEUS, rules


def test_every_alert_has_exactly_one_symptom() -> None:
    caused = Counter(name for names in SYMPTOMS.values() for name in names)
    assert caused == Counter(str(rule["alert"]) for rule in rules("alerts.yml"))


def test_shortened_rules_differ_in_durations_alone() -> None:
    text = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(shortened(text))["groups"]
    for before, after in zip(rules("alerts.yml"), group["rules"], strict=True):
        assert after.get("for") == ("4s" if "for" in before else None)
        assert {**after, "for": "", "expr": ""} == {**before, "for": "", "expr": ""}
        assert after["expr"].partition(">")[2] == before["expr"].partition(">")[2] or "[30s]" in after["expr"]
    assert "m]" not in shortened((PROMETHEUS / "recording.yml").read_text(encoding="utf-8"))


async def test_what_is_done_again_and_again_ends_with_the_symptom_and_tells_its_failure() -> None:
    done: list[int] = []
    often = asyncio.Event()

    async def act() -> None:
        done.append(1)
        if len(done) == 3:
            often.set()

    async with again_and_again(act, 0.0):
        await often.wait()
    count = len(done)
    await asyncio.sleep(0)
    assert len(done) == count

    async def fail() -> None:
        often.set()
        raise OSError("it went wrong")

    often.clear()
    with pytest.raises(OSError, match="it went wrong"):
        async with again_and_again(fail, 0.0):
            await often.wait()
