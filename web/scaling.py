"""How many workers a lane wants: the number that autoscalers follow. Plain arithmetic, no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.store.workers import WorkerStatus


def desired_workers(waiting: int, workers: Sequence[WorkerStatus], goal_s: float) -> int:
    """So many that whoever waits begins within `goal_s`, beside the answers that are being written now.

    Little's law: S slots whose answers take t seconds each begin S / t answers a second. Nothing measured yet: a slot
    for everybody. At least 1, so that the first question after a quiet night finds somebody. Workers that end (they
    tell no slots) are no capacity, but their answers will need somebody.
    """
    able = [worker for worker in workers if worker.slots]
    busy = sum(worker.busy for worker in workers)
    slots = sum(worker.slots for worker in able) / len(able) if able else 1.0
    times = [worker.service_s for worker in able if worker.service_s]
    service_s = sum(times) / len(times) if times else goal_s
    needed_slots = busy + waiting * min(1.0, service_s / goal_s) if goal_s else busy + waiting
    return max(1, math.ceil(needed_slots / slots))
