"""`nunmal doctor`: what it finds in set-ups that are well and in those that are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra import doctor as doctors
from infra.doctor import Finding, Verdict, doctor, examined
from shared.errors import ConfigError
from shared.settings import load_settings
from shared.store import Store
from tests.free_ports import free_ports

FINE, NOTE, WRONG = Verdict


@pytest.fixture(autouse=True)
def without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


async def found(environment: Mapping[str, str], **overrides: Any) -> dict[str, Finding]:
    return {finding.about: finding for finding in await examined(load_settings(environment, **overrides))}


@pytest.fixture
def at_store(store: Store, store_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "NUNMAL_STORE_URL": store_url,
        "NUNMAL_STORE_DATABASE": store._database.name,
        "NUNMAL_HOME": str(tmp_path),
        "NUNMAL_SECRET_KEY": "s" * 32,
    }


async def test_a_store_with_workers_is_fine(at_store: dict[str, str], store: Store) -> None:
    await store.workers.beat("w", "chat.reference", "reference", "digest", 8, 0)
    seen = await found(at_store)

    assert {name: finding.verdict for name, finding in seen.items()} == {
        **dict.fromkeys(
            ("python", "nunmal", "torch", "secret", "disk", "model", "store", "workers", "documents"), FINE
        ),
        "gpu": NOTE,
        "broker": NOTE,
        "clock": seen["clock"].verdict,  # the embedded store may not tell
    }
    assert seen["clock"].verdict is not WRONG
    assert "1 for chat.reference, 8 slots" in seen["workers"].seen


async def test_workers_with_different_files_are_wrong(at_store: dict[str, str], store: Store) -> None:
    await store.workers.beat("one", "chat.reference", "reference", "digest", 8, 0)
    await store.workers.beat("two", "chat.reference", "reference", "other", 8, 0)
    assert (await found(at_store))["workers"].verdict is WRONG


async def test_without_workers_it_says_how_to_start_one(at_store: dict[str, str]) -> None:
    finding = (await found(at_store))["workers"]
    assert finding.verdict is NOTE
    assert "nunmal worker" in finding.advice


@pytest.mark.parametrize(("apart_s", "verdict"), [(0.0, FINE), (-0.2, FINE), (3.0, WRONG), (-3.0, WRONG)])
async def test_clocks_must_agree(
    at_store: dict[str, str], monkeypatch: pytest.MonkeyPatch, apart_s: float, verdict: Verdict
) -> None:
    async def told(store: Store) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=apart_s)

    monkeypatch.setattr(Store, "server_time", told)
    assert (await found(at_store))["clock"].verdict is verdict


async def test_what_does_not_answer_is_wrong_and_tells_no_password(tmp_path: Path) -> None:
    (free_port,) = free_ports(1)
    seen = await found(
        {
            "NUNMAL_HOME": str(tmp_path),
            "NUNMAL_BROKER_URL": f"amqp://web:hidden-word@127.0.0.1:{free_port}/",
        }
    )
    assert seen["broker"].verdict is WRONG
    assert "hidden-word" not in str(seen["broker"])
    assert seen["store"].verdict is NOTE
    assert "no Nunmal runs" in seen["store"].seen


@pytest.mark.rabbitmq
async def test_rabbitmq_tells_its_version(rabbit_url: str, tmp_path: Path) -> None:
    finding = (await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_BROKER_URL": rabbit_url}))["broker"]
    assert finding.verdict is FINE
    assert finding.seen.split()[1][0].isdecimal()


async def test_a_short_secret_is_wrong(tmp_path: Path) -> None:
    seen = await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_SECRET_KEY": "short"})
    assert seen["secret"].verdict is WRONG
    assert "short" not in seen["secret"].seen.split()


@pytest.mark.parametrize(("free_gib", "verdict"), [(0.5, WRONG), (3, NOTE), (50, FINE)])
async def test_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gib: float, verdict: Verdict
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=int(free_gib * 2**30)))
    seen = await found({"NUNMAL_HOME": str(tmp_path / "not" / "made" / "yet")})
    assert seen["disk"].verdict is verdict
    assert str(tmp_path) in seen["disk"].seen


async def test_a_model_that_is_not_whole(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    seen = await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_MODEL": str(model)})
    assert seen["model"].verdict is WRONG
    assert "config.json" in seen["model"].seen

    for name in ("config.json", "tokenizer_config.json"):
        (model / name).write_text(json.dumps({}))
    assert ".safetensors" in (await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_MODEL": str(model)}))["model"].seen
    (model / "model.safetensors").write_bytes(b"0" * 10**6)
    assert (await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_MODEL": str(model)}))["model"].verdict is FINE


async def test_a_name_of_the_hub_is_pointed_out(tmp_path: Path) -> None:
    finding = (await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_MODEL": "somebody/model"}))["model"]
    assert finding.verdict is NOTE


async def test_a_gpu_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    finding = (await found({"NUNMAL_HOME": str(tmp_path), "NUNMAL_WORKER__DEVICE": "cuda"}))["gpu"]
    assert finding.verdict is WRONG


def test_it_prints_a_line_a_check_and_ends_as_set_up_wrongly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="something is wrong with: secret, gpu"):
        doctor(load_settings({"NUNMAL_HOME": str(tmp_path), "NUNMAL_SECRET_KEY": "x", "NUNMAL_WORKER__DEVICE": "cuda"}))

    printed = capsys.readouterr().out
    assert "wrong  secret    shorter than 32 characters" in printed
    assert "Make one: openssl rand -hex 32" in printed

    async def well(settings: object) -> list[Finding]:
        return [Finding("disk", FINE, "1.0 GiB free")]

    monkeypatch.setattr(doctors, "examined", well)
    doctor(load_settings({}))
