"""What NVML tells of this worker's GPUs: nothing where there is no driver, or no GPU is used."""

from __future__ import annotations

import logging
from typing import Any

from shared import metrics
from shared.settings import visible_gpus
from shared.telemetry import fields

log = logging.getLogger(__name__)


class GpuMetrics:
    """Opened once in a process that uses GPUs; `look` takes milliseconds and is called in a thread."""

    def __init__(self) -> None:
        self._nvml, self._gpus = _opened()

    @property
    def count(self) -> int:
        return len(self._gpus)

    def look(self) -> None:
        """What a GPU does not tell stays untold."""
        for name, gpu in self._gpus.items():
            try:
                metrics.GPU_UTILIZATION.labels(name).set(self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
                memory = self._nvml.nvmlDeviceGetMemoryInfo(gpu)
                metrics.GPU_MEMORY_USED.labels(name).set(memory.used)
                metrics.GPU_MEMORY_TOTAL.labels(name).set(memory.total)
                celsius = self._nvml.nvmlDeviceGetTemperature(gpu, self._nvml.NVML_TEMPERATURE_GPU)
                metrics.GPU_TEMPERATURE.labels(name).set(celsius)
            except self._nvml.NVMLError as error:
                log.info("gpu_not_seen", extra=fields(gpu=name, reason=str(error)))


def _opened() -> tuple[Any, dict[str, Any]]:
    """NVML and the handles of the GPUs that this process may use, by NVML's number or the name they were given."""
    try:
        import pynvml
    except ImportError:  # a room without GPUs need not install it
        return None, {}
    try:
        pynvml.nvmlInit()
        names = visible_gpus()
        if names is None:
            names = [str(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return pynvml, {name: _handle(pynvml, name) for name in names}
    except pynvml.NVMLError as error:
        log.info("no_nvml", extra=fields(reason=str(error)))
        return pynvml, {}


def _handle(nvml: Any, name: str) -> Any:
    """Of a number, or of a UUID (`GPU-...`, `MIG-...`)."""
    return nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(name)
