"""lm-eval's local-chat-completions over the twenty rows of tests/clients/task/, from the repository's root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.clients.cases import Service, perform

_TASK = "korean_capitals"
_ROWS = 20


def _evaluated(service: Service, concurrent: int, key: str = "") -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """Results, samples and what was said; no results if it failed."""
    model = f"model={service.model},base_url={service.url}/chat/completions,num_concurrent={concurrent},max_retries=1"
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("lm-eval")), "run", "--model", "local-chat-completions"),
                *("--model_args", model, "--include_path", "tests/clients/task", "--tasks", _TASK),
                *("--limit", str(_ROWS), "--apply_chat_template", "--output_path", name, "--log_samples"),
            ],
            env={**os.environ, "OPENAI_API_KEY": key or service.key, "HF_HUB_OFFLINE": "1", "HF_HOME": f"{name}/cache"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        results = [json.loads(path.read_text()) for path in Path(name).rglob("results_*.json")]
        samples = [json.loads(line) for path in Path(name).rglob("samples_*.jsonl") for line in path.open()]
    return (results[0] if results and done.returncode == 0 else {}), samples, done.stderr


def twenty_rows_are_answered_and_scored(service: Service) -> None:
    results, samples, said = _evaluated(service, concurrent=4)

    assert results, said[-2000:]
    assert results["n-samples"][_TASK]["effective"] == len(samples) == _ROWS
    assert 0 <= results["results"][_TASK]["exact_match,none"] <= 1
    assert all(sample["resps"][0][0].strip() for sample in samples)


def another_run_gets_the_same_answers(service: Service) -> None:
    def answers(concurrent: int) -> dict[int, str]:
        _, samples, said = _evaluated(service, concurrent)
        assert samples, said[-2000:]
        return {sample["doc_id"]: sample["resps"][0][0] for sample in samples}

    assert answers(4) == answers(1)


def a_wrong_key_is_told(service: Service) -> None:
    results, _, said = _evaluated(service, concurrent=1, key="sk-nunmal-" + "x" * 48)

    assert not results
    assert "invalid_api_key" in said, said[-2000:]


if __name__ == "__main__":
    perform((twenty_rows_are_answered_and_scored, another_run_gets_the_same_answers, a_wrong_key_is_told))
