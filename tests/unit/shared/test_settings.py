"""Settings: one reader of the environment, clear errors at the door, and a .env.example that cannot drift."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.errors import ConfigError
from shared.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]


def all_fields(section: type[BaseModel] = Settings, prefix: str = "NUNMAL_") -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= all_fields(field.annotation, f"{prefix}{name.upper()}__")
        else:
            found[prefix + name.upper()] = field
    return found


def test_env_example_names_every_setting_with_its_default_and_sentence() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")

    expected = {}
    for variable, field in all_fields().items():
        default: Any = "" if field.default is None else field.default
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        expected[variable] = (field.description, shown)
    found = {
        variable: (comment, default)
        for comment, variable, default in re.findall(r"^# (.+)\n# ?(NUNMAL_\w+)=(.*)$", text, re.MULTILINE)
    }

    assert found == expected


def test_example_settings_load() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = [line.removeprefix("# ").partition("=") for line in lines if re.match(r"# ?NUNMAL_\w+=", line)]

    assert load_settings({name: value for name, _, value in pairs}) == Settings()


def test_nested_variable_and_override() -> None:
    settings = load_settings({"NUNMAL_WEB__PORT": "9000", "NUNMAL_WEB__HOST": "::1"}, web={"port": 8123})

    assert (settings.web.port, settings.web.host) == (8123, "::1")


def test_bad_value_is_named_with_what_was_expected() -> None:
    with pytest.raises(ConfigError, match=r"NUNMAL_WEB__PORT='eighty': Input should be a valid integer"):
        load_settings({"NUNMAL_WEB__PORT": "eighty"})


def test_unknown_variable_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"NUNMAL_PROT is not a setting of Nunmal \(see .env.example\)"):
        load_settings({"NUNMAL_PROT": "8000", "PATH": "/bin"})


def test_secrets_do_not_print() -> None:
    settings = load_settings({"NUNMAL_STORE_URL": "mongodb://user:hunter2@db/"})

    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("variable", ["NUNMAL_MAIL", "NUNMAL_MAIL__URLS", "NUNMAL_BROKER_URL__X"])
def test_a_secret_in_the_wrong_place_is_not_repeated(variable: str) -> None:
    with pytest.raises(ConfigError, match=r"^NUNMAL_(MAIL|BROKER_URL)") as refused:
        load_settings({variable: "smtp://user:hunter2@host"})

    assert "hunter2" not in str(refused.value)


def test_variables_of_the_tests_are_no_settings() -> None:
    assert load_settings({"NUNMAL_TEST_MONGODB_URL": "mongodb://db/"}) == Settings()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("reference", "reference"),
        ("LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct", "exaone-3.5-2.4b-instruct"),
        ("/models/My Model/", "my-model"),
        ("..", "model"),
    ],
)
def test_model_name_is_safe_in_queues_and_pages(model: str, name: str) -> None:
    assert Settings(model=model).model_name == name


def test_only_settings_reads_the_environment() -> None:
    rooms = ["shared", "web", "workers", "training", "vision", "infra"]
    readers = [
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"os\.environ|os\.getenv", path.read_text(encoding="utf-8"))
    ]

    assert readers == ["shared/settings.py"]


def test_shared_imports_without_tensors_or_http() -> None:
    code = "import shared.store, shared.broker.rabbitmq, shared.recovery, shared.prompting, sys; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert not {"torch", "transformers", "numpy", "quart"} & set(loaded.split())
