"""The home holds what people wrote and the key to their second steps: nobody else on the machine may look in."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra.home import opened_home, secret_key
from shared.errors import ConfigError


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_home_is_its_owners_alone(tmp_path: Path, is_there: bool) -> None:
    home = tmp_path / "home"
    if is_there:
        (home / "store").mkdir(parents=True)
        for path in (home, home / "store"):
            path.chmod(0o755)

    with opened_home(home) as opened:
        secret_key(opened)

    assert [_mode(path) for path in (home, home / "store")] == [0o700] * 2
    assert [_mode(home / name) for name in ("lock", "secret_key")] == [0o600] * 2


def test_a_directory_of_all_users_is_no_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    with pytest.raises(ConfigError, match="choose a directory of its own"), opened_home(tmp_path):
        pass
    assert _mode(tmp_path) == 0o1777
