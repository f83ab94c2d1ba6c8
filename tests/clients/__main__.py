"""`make clients`: unmodified clients of OpenAI's API against `nunmal up` with the reference model.

Each client has an environment of its own under build/clients/ and one script of cases. Writes
build/clients.json, {client: [cases that passed]}; ends with 1 if a case failed or a client could not be set up.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.accounts import make_key, make_user
from tests.clients.cases import Service
from tests.environments import Environment, NotInstalled
from tests.service import ROOT, Process

CLIENTS = ("openai", "litellm", "langchain", "llm", "lm_eval")

_HERE = Path(__file__).parent
_MODEL = "reference"
_CASES_WITHIN_S = 600


def clients(names: Sequence[str]) -> int:
    """The exit code."""
    pythons: dict[str, Path] = {}
    problems = []
    for name in names:
        _say(f"setting up {name}")
        try:
            pythons[name] = Environment(ROOT / "build" / "clients" / name, _HERE / f"{name}.txt").make()
        except NotInstalled as error:
            problems.append(str(error))
    passed: dict[str, list[str]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as directory, Process("up", "--port", "0", NUNMAL_HOME=directory) as process:
        address = process.wait_ready()
        make_user(Path(directory), "client@example.com", "프로그램")
        service = Service(f"{address}/v1", make_key(Path(directory), "client@example.com"), _MODEL)
        for name, python in pythons.items():
            for case, reason in _performed(name, python, service).items():
                _say(f"{name:<10}{'failed' if reason else 'passed'}  {case}")
                if reason:
                    problems.append(f"{name}: {case}\n{reason}")
                else:
                    passed[name].append(case)
        process.signal(signal.SIGTERM, whole_group=False)
        process.wait()
    if "Traceback" in process.output:
        problems.append(f"the service said:\n{process.output}")
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "clients.json").write_text(json.dumps(passed, ensure_ascii=False, indent=1) + "\n")
    for problem in problems:
        _say(problem)
    _say(f"{sum(map(len, passed.values()))} cases passed, {len(problems)} problems; build/clients.json")
    return 1 if problems else 0


def _performed(name: str, python: Path, service: Service) -> dict[str, str]:
    """Why each case failed, "" if it did not; of a script that broke, one case that is called so."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "LITELLM_", "LLM_"))}
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [str(python), "-m", f"tests.clients.with_{name}", service.url, service.key, service.model],
            cwd=ROOT,
            env=kept | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CASES_WITHIN_S,
        )
        outcomes: dict[str, str] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        return {"the_script_ends": str(error)}
    except json.JSONDecodeError:
        return {"the_script_ends": done.stderr[-4000:]}
    return outcomes


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="python -m tests.clients", description=(__doc__ or "").partition("\n")[0])
    _parser.add_argument("clients", nargs="*", choices=[*CLIENTS, []], help="all, if none is named")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    sys.exit(clients(_parser.parse_args().clients or CLIENTS))
