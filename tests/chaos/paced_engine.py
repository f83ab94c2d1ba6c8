"""The engine's process at a pace: a decode step lasts as long as on a busy GPU, without keeping a core from the rest of
the house."""

from __future__ import annotations

import functools
import time
from typing import Any
from unittest.mock import patch

from workers.engine.engine_process import main
from workers.engine.model_runner import ModelRunner

_STEP_S = 0.04


def _keep_pace() -> None:
    decode = ModelRunner.decode

    @functools.wraps(decode)
    def paced(*arguments: Any) -> Any:
        end = time.monotonic() + _STEP_S
        logits = decode(*arguments)
        time.sleep(max(0.0, end - time.monotonic()))  # no waiting for anything: the pace of a larger model
        return logits

    patch.object(ModelRunner, "decode", paced).start()


if __name__ == "__main__":
    _keep_pace()
    main()
