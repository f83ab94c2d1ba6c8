"""What a worker tells of its GPUs: NVML is a stand-in here, as no GPU need be there."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from shared import metrics
from tests.metric_values import value
from workers.gpu_metrics import GpuMetrics


class NVMLError(Exception):
    pass


class Nvml(ModuleType):  # its names are NVML's
    """Two GPUs, named by number or UUID."""

    NVML_TEMPERATURE_GPU = 0
    NVMLError = NVMLError

    def __init__(self, has_driver: bool = True) -> None:
        super().__init__("pynvml")
        self.has_driver = has_driver
        self.is_silent = False

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.has_driver:
            raise NVMLError("no driver")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return {"GPU-b": 1}[uuid]

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        if self.is_silent:
            raise NVMLError("lost")
        return SimpleNamespace(gpu=50 + gpu)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=10 + gpu, total=100)

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:  # noqa: N802
        return 60 + gpu


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return nvml


def test_every_gpu_is_told_in_base_units(nvml: Nvml) -> None:
    GpuMetrics().look()

    assert [value(metrics.GPU_UTILIZATION, gpu=gpu) for gpu in "01"] == [0.5, 0.51]
    assert [value(metrics.GPU_MEMORY_USED, gpu=gpu) for gpu in "01"] == [10, 11]
    assert value(metrics.GPU_MEMORY_TOTAL, gpu="0") == 100
    assert value(metrics.GPU_TEMPERATURE, gpu="1") == 61


def test_only_those_this_process_may_use(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    gpus = GpuMetrics()
    gpus.look()

    assert gpus.count == 1
    assert value(metrics.GPU_TEMPERATURE, gpu="GPU-b") == 61


def test_a_gpu_that_is_lost_ends_nothing(nvml: Nvml) -> None:
    gpus = GpuMetrics()
    nvml.is_silent = True
    gpus.look()


def test_without_a_driver_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(has_driver=False))
    assert GpuMetrics().count == 0
