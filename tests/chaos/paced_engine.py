"""The engine's process at a pace: a step of running answers lasts as long as on a busy GPU, without keeping a core from
the rest of the house."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from workers.engine.engine_process import main
from workers.engine.model_runner import ModelRunner
from workers.engine.scheduler import Piece

_STEP_S = 0.04


def _keep_pace() -> None:
    forward = ModelRunner.forward

    @functools.wraps(forward)
    def paced(runner: ModelRunner, pieces: Sequence[Piece], tokens: Any) -> Any:
        end = time.monotonic() + (_STEP_S if any(piece.is_decoding for piece in pieces) else 0)
        logits = forward(runner, pieces, tokens)
        time.sleep(max(0.0, end - time.monotonic()))  # no waiting for anything: the pace of a larger model
        return logits

    patch.object(ModelRunner, "forward", paced).start()


if __name__ == "__main__":
    _keep_pace()
    main()
