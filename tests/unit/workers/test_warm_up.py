from __future__ import annotations

import subprocess
import sys

from tests.tiny_models import tiny_model
from workers.engine.faster_modules import replace_modules
from workers.engine.model_runner import ModelRunner, rounded
from workers.engine.warm_up import warm_up


def test_every_length_is_run_while_there_is_time() -> None:
    runner = ModelRunner(tiny_model(), 2)
    replace_modules(runner)
    lengths = {rounded(tokens) for tokens in range(1, 257)}

    assert warm_up(runner, seconds=60) == len(lengths)
    assert warm_up(runner, seconds=0) == 0


def test_freed_memory_is_kept() -> None:
    """New pages for 4 MiB that are made and dropped fifty times, in a process of its own."""
    script = """if True:
        import resource, sys
        from workers.engine.allocator import keep_freed_memory
        if sys.argv[1] == "kept":
            keep_freed_memory()
        bytes(bytearray(4 << 20))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(50):
            bytes(bytearray(4 << 20))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    given, kept = (
        int(subprocess.run([sys.executable, "-c", script, how], capture_output=True, check=True).stdout)
        for how in ("given", "kept")
    )

    assert kept < given / 10
