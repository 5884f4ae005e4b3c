"""An NVML whose one GPU says what the test tells it to say."""

import math
import sys
from types import SimpleNamespace


class FakeNvml:
    """As much of ``pynvml`` as is used, by the same names.

    ``answers`` holds what each question about the GPU is answered with: a value, a function of the further arguments,
    or an error. ``open`` counts what was opened and not closed, ``samples`` what was allocated and not freed.
    """

    NVML_SUCCESS = 0
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0
    NVML_GPM_METRICS_GET_VERSION = 1
    NVML_GPM_METRIC_SM_UTIL = 2

    class NVMLError(Exception):
        pass

    NOT_SUPPORTED = NVMLError("Not Supported")
    LOST = NVMLError("GPU is lost")

    def __init__(self, **answers):
        self.open = self.samples = self.asked = 0
        self.answers = {
            "Name": "NVIDIA Fake",
            "MemoryInfo": SimpleNamespace(total=80 * 2**30, used=3 * 2**30),
            "ClockInfo": {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 3201}.__getitem__,
            "PowerUsage": 250_500,
            "Temperature": lambda sensor: 41,
            "UtilizationRates": SimpleNamespace(gpu=87, memory=12),
            "CurrentClocksEventReasons": 0,
            "ComputeRunningProcesses": [],
            "TotalEnergyConsumption": self.NOT_SUPPORTED,
            "PersistenceMode": 1,
            "driver": "570.1",
            "busy": 43.0,
            **answers,
        }

    def __getattr__(self, name):
        question = name.removeprefix("nvmlDeviceGet")
        if question == name or question not in self.answers:
            raise AttributeError(name)
        return lambda handle, *arguments: self._answer(question, *arguments)

    def lose(self):
        """From now on the GPU is lost."""
        self.answers = dict.fromkeys(self.answers, self.LOST)

    def nvmlInit(self):  # noqa: N802
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return self._answer("driver")

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        self._answer("Name")
        return f"GPU {index}"

    def nvmlGpmQueryDeviceSupport(self, handle):  # noqa: N802
        return SimpleNamespace(isSupportedDevice=int(not math.isnan(self._answer("busy"))))

    def nvmlGpmSampleAlloc(self):  # noqa: N802
        self.samples += 1
        return SimpleNamespace(taken=False)

    def nvmlGpmSampleGet(self, handle, sample):  # noqa: N802
        self._answer("busy")
        sample.taken = True
        return sample

    def nvmlGpmSampleFree(self, sample):  # noqa: N802
        self.samples -= 1

    def c_nvmlGpmMetricsGet_t(self):  # noqa: N802
        return SimpleNamespace(metrics=[SimpleNamespace(nvmlReturn=None, value=None)])

    def nvmlGpmMetricsGet(self, question):  # noqa: N802
        assert (question.version, question.numMetrics) == (self.NVML_GPM_METRICS_GET_VERSION, 1)
        assert question.sample1.taken
        assert question.sample2.taken
        assert question.metrics[0].metricId == self.NVML_GPM_METRIC_SM_UTIL
        question.metrics[0].value = self._answer("busy")
        question.metrics[0].nvmlReturn = self.NVML_SUCCESS

    def _answer(self, question, *arguments):
        self.asked += 1
        answer = self.answers[question]
        if callable(answer):
            answer = answer(*arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer


def installed(monkeypatch, **answers):
    """A fake that is what ``import pynvml`` gives."""
    nvml = FakeNvml(**answers)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return nvml
