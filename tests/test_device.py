"""Devices: files of numbers, and what is found on this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ftax_model import device, plugins
from ftax_model.device import Device, detect, names, rates, specification
from ftax_model.errors import DataError, InputError, MissingError
from ftax_model.workload import DTYPES

GPU = ("memory_bytes", "l2_bytes", "multiprocessors")
EPYC = "processor : 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\n\nprocessor : 1\nmodel name : x\n"
HIDDEN = (
    "cpu family : 6\nmodel : 167\nmodel name : Intel Xeon Processor\nflags : fpu avx2 avx512f avx512_vnni amx_tile\n"
)
SKYLAKE = "cpu family : 6\nmodel : 85\nmodel name : Intel(R) Xeon(R) Processor\nflags : avx2 avx512f\n"
GRAVITON = "processor : 0\nFeatures : fp asimd sve bf16\nCPU implementer : 0x41\nCPU part : 0xd4f\n"
XEON = "cpu family : 6\nmodel : 79\nmodel name : Intel(R) Xeon(R)  CPU @ 2.20GHz\n"


@pytest.mark.parametrize("name", names())
def test_device_file_keeps_the_contract(name: str) -> None:
    table = specification(name)
    known = {"kind", "match", "formerly", "source", "bandwidth", "peak_macs"}
    assert set(table) <= known | (
        {*GPU, "launch_s", "graph_launch_s", "tensor_macs"} if table["kind"] == "cuda" else set()
    )
    assert all(re.compile(pattern) for pattern in table.get("formerly", []))
    assert table["kind"] in ("cpu", "cuda")
    assert re.compile(table["match"]).search("") is None, "a device file matches some devices, not all"
    assert len(table["source"]) > 10, "the source says where the numbers were read"
    assert table.get("bandwidth", 1.0) > 0
    assert table["peak_macs"].keys() <= DTYPES.keys()
    assert table["peak_macs"], "a device file gives at least one peak"
    assert all(1e9 < rate < 1e16 for rate in table["peak_macs"].values())
    if table["kind"] == "cuda":
        assert {*GPU, "bandwidth"} <= set(table), "a GPU's file tells its caches and multiprocessors"
        assert 1e6 < table["l2_bytes"] < table["memory_bytes"]
        assert 1e-7 < table.get("graph_launch_s", 1e-6) <= table.get("launch_s", 1e-6) < 1e-5
        matrix = table.get("tensor_macs", {})
        assert matrix.keys() <= {*DTYPES, "tf32"}
        assert all(rate >= table["peak_macs"].get(dtype, 0) for dtype, rate in matrix.items())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Tesla T4", "nvidia-t4"),
        ("Tesla V100-PCIE-32GB", "nvidia-v100-pcie"),
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-sxm-40gb"),
        ("NVIDIA A100 80GB PCIe", "nvidia-a100-pcie-80gb"),
        ("NVIDIA A10G", "nvidia-a10g"),
        ("NVIDIA L40S", "nvidia-l40s"),
        ("NVIDIA GeForce RTX 3090 Ti", "nvidia-rtx-3090-ti"),
        ("NVIDIA GeForce RTX 4070 Ti", "nvidia-rtx-4070-ti"),
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
        ("NVIDIA GB200", "nvidia-gb200"),
        ("AMD Instinct MI300X", "amd-mi300x"),
    ],
)
def test_a_gpu_is_called_by_its_file(house: House, model: str, name: str) -> None:
    house.gpus(model)
    assert detect("cuda").name == name
    slug = "-".join(re.findall(r"[a-z0-9]+", model.lower()))
    assert rates(slug, "float32", 1) == rates(name, "float32", 1), "records of the driver's name find the file"


def test_torch_takes_tf32_for_convolutions_alone() -> None:
    a100, t4, half = (
        rates(*of, 1)
        for of in (("nvidia-a100-sxm-40gb", "float32"), ("nvidia-t4", "float32"), ("nvidia-a100-sxm-40gb", "float16"))
    )
    assert a100 and t4 and half
    assert (a100.macs, a100.convolution_macs) == (9.75e12, 78e12)
    assert t4.macs == t4.convolution_macs == t4.vector_macs, "Turing has no TF32"
    assert half.macs == half.convolution_macs == 156e12


def test_no_two_files_claim_one_gpu() -> None:
    for name in names():
        model = name.replace("-", " ")
        claims = [
            other
            for other in names()
            if specification(other)["kind"] == "cuda" and re.search(specification(other)["match"], model, re.IGNORECASE)
        ]
        assert len(claims) <= 1, f"{model} is claimed by {claims}"


def test_specification_of_an_unknown_device() -> None:
    with pytest.raises(InputError, match=r"device is one of .*; got 'nvidia-h20'; did you mean 'nvidia-h200'"):
        specification("nvidia-h20")


def test_specification_that_is_not_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.toml").write_text("kind = cpu", encoding="utf-8")
    monkeypatch.setattr(plugins, "path", lambda *_, **__: tmp_path / "broken.toml")
    with pytest.raises(DataError, match=r"a device file is TOML; got .*broken\.toml: .*; mend the file"):
        specification("broken")


def test_a_device_has_a_known_kind() -> None:
    with pytest.raises(InputError, match="device kind is one of cpu, cuda, fake; got 'tpu'"):
        Device("v4", "tpu", "v4", "host", 1)


def test_detect_refuses_another_kind() -> None:
    with pytest.raises(InputError, match="device kind is one of cpu, cuda, fake; got 'gpu'"):
        detect("gpu")


def test_fake_device_knows_no_peak() -> None:
    fake = detect("fake")
    assert (fake.name, fake.kind, fake.peak("float32"), fake.bandwidth) == ("fake", "fake", None, None)


def test_cpu_of_this_machine() -> None:
    found = detect("cpu")
    assert found.kind == "cpu"
    assert found.model == found.host_cpu
    assert found.cores >= 1
    assert re.fullmatch(rf"[a-z0-9]+(-[a-z0-9]+)*-{found.cores}core", found.name)
    assert found.memory_bytes is None or found.memory_bytes > 2**28
    assert found == detect("cpu")


@pytest.mark.parametrize(
    ("cpuinfo", "model", "name"),
    [
        (EPYC, "AMD EPYC 7B13 (family 25, model 1)", "amd-epyc-7b13"),
        (EPYC.replace(" 7B13", ""), "AMD EPYC (family 25, model 1)", "amd-epyc-milan"),
        (XEON, "Intel Xeon CPU @ 2.20GHz (family 6, model 79)", "intel-xeon-broadwell"),
        (HIDDEN, "Intel Xeon Processor (family 6, model 167, avx2, avx512, avx512-vnni, amx)", "intel-xeon-amx"),
        (
            HIDDEN.replace("167", "200"),
            "Intel Xeon Processor (family 6, model 200, avx2, avx512, avx512-vnni, amx)",
            "intel-xeon-amx",
        ),
        (SKYLAKE, "Intel Xeon Processor (family 6, model 85, avx2, avx512)", "intel-xeon-skylake"),
        (
            SKYLAKE.replace("avx512f", "avx512f avx512_vnni"),
            "Intel Xeon Processor (family 6, model 85, avx2, avx512, avx512-vnni)",
            "intel-xeon-cascade-lake",
        ),
        (GRAVITON, "ARM (implementer 0x41, part 0xd4f, asimd, sve, bf16, Amazon EC2)", "aws-graviton-4"),
        ("model name : AMD EPYC 7763 64-Core Processor\n", "AMD EPYC 7763 64-Core Processor", "amd-epyc-7763-64-core"),
    ],
)
def test_cpu_by_its_cpuinfo(house: House, cpuinfo: str, model: str, name: str) -> None:
    house.cpuinfo(cpuinfo)
    house.vendor("Amazon EC2")
    found = detect("cpu")
    assert (found.model, found.name) == (model, f"{name}-2core")


@pytest.mark.parametrize(
    ("name", "model", "today"),
    [
        ("intel-xeon-2core", "Intel Xeon Processor (family 6, model 167)", "intel-xeon-amx-2core"),
        ("intel-xeon-16core", "Intel Xeon Processor (family 6, model 143)", "intel-xeon-sapphire-rapids-16core"),
        ("intel-xeon-2core", "Intel Xeon Processor (family 6, model 85)", "intel-xeon-2core"),  # one of two
        ("amd-epyc-2core", "AMD EPYC (family 25, model 1)", "amd-epyc-milan-2core"),
        ("amd-epyc-7b13-2core", "AMD EPYC 7B13 (family 25, model 1)", "amd-epyc-7b13-2core"),
        ("mine", "Intel Xeon Processor (family 6, model 167)", "mine"),
    ],
)
def test_names_of_earlier_versions_are_read_with_those_of_today(name: str, model: str, today: str) -> None:
    assert device.renamed(name, model) == today


@pytest.mark.parametrize("cpuinfo", ["", "BogoMIPS : 100\n", None])
def test_cpu_without_a_name(house: House, cpuinfo: str | None) -> None:
    house.cpuinfo(cpuinfo)
    found = detect("cpu")
    assert found.model
    assert re.fullmatch(r"[a-z0-9-]+-2core", found.name)


def test_peaks_of_a_known_cpu_grow_with_its_cores(house: House) -> None:
    house.cpuinfo(EPYC)
    table = specification("amd-epyc-milan")
    found = detect("cpu")
    assert found.peak("float32") == 2 * table["peak_macs"]["float32"]
    assert found.peak("float16") is None
    assert found.source == table["source"]


def test_an_unknown_cpu_has_no_peaks(house: House) -> None:
    house.cpuinfo(XEON.replace("79", "200"))
    assert (detect("cpu").peak_macs, detect("cpu").source) == ((), "")


class House:
    """This machine with another CPU and other GPUs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.monkeypatch = folder / "cpuinfo", monkeypatch
        self.opened = 0
        monkeypatch.setattr(device, "CPUINFO", self.file)
        monkeypatch.setattr(device, "VENDOR", folder / "vendor")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def cpuinfo(self, text: str | None) -> None:
        if text is not None:
            self.file.write_text(text, encoding="utf-8")

    def vendor(self, name: str) -> None:
        (self.file.parent / "vendor").write_text(name + "\n", encoding="utf-8")

    def gpus(self, *models: str, driver: bool = True) -> None:
        """NVML that knows these models; each has a UUID of its place."""
        nvml: Any = ModuleType("pynvml")
        nvml.NVMLError = type("NVMLError", (Exception,), {})

        def init() -> None:
            if not driver:
                raise nvml.NVMLError("Driver Not Loaded")
            self.opened += 1

        def shutdown() -> None:
            self.opened -= 1

        def by_index(index: int) -> str:
            if index >= len(models):
                raise nvml.NVMLError("Invalid Argument")
            return models[index]

        nvml.nvmlInit, nvml.nvmlShutdown = init, shutdown
        nvml.nvmlDeviceGetHandleByIndex = by_index
        nvml.nvmlDeviceGetHandleByUUID = lambda uuid: models[int(uuid.removeprefix("GPU-"))]
        nvml.nvmlDeviceGetName = lambda handle: handle
        nvml.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=80 * 2**30)
        self.monkeypatch.setitem(sys.modules, "pynvml", nvml)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_known_gpu(house: House) -> None:
    house.cpuinfo(EPYC)
    house.gpus("NVIDIA H200")
    found = detect("cuda")
    table = specification("nvidia-h200")
    assert (found.name, found.kind, found.model) == ("nvidia-h200", "cuda", "NVIDIA H200")
    assert found.host_cpu == "AMD EPYC 7B13 (family 25, model 1)"
    assert found.memory_bytes == 80 * 2**30
    assert (found.bandwidth, found.peak("float16")) == (table["bandwidth"], table["tensor_macs"]["float16"])
    assert house.opened == 0, "NVML is closed again"


def test_unknown_gpu_is_a_device_without_peaks(house: House) -> None:
    house.gpus("NVIDIA GeForce GTX 960")
    found = detect("cuda")
    assert (found.name, found.peak_macs, found.bandwidth) == ("nvidia-geforce-gtx-960", (), None)


@pytest.mark.parametrize(("visible", "index"), [("1", 1), ("1,0", 1), (" 0", 0), ("GPU-1", 1), ("2,1,0", 2)])
def test_gpu_is_the_first_that_cuda_sees(
    house: House, monkeypatch: pytest.MonkeyPatch, visible: str, index: int
) -> None:
    models = ("Quadro RTX 8000", "NVIDIA H200", "NVIDIA A40")
    house.gpus(*models)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert detect("cuda").model == models[index]


@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles"])
def test_hidden_gpus_are_not_there(house: House, monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    house.gpus("NVIDIA H200")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(MissingError, match="a GPU that this process may use; got CUDA_VISIBLE_DEVICES="):
        detect("cuda")
    assert house.opened == 0


@pytest.mark.parametrize(("models", "driver"), [((), True), (("NVIDIA H200",), False)])
def test_no_gpu_or_no_driver(house: House, models: tuple[str, ...], driver: bool) -> None:
    house.gpus(*models, driver=driver)
    with pytest.raises(MissingError, match=r"needs an NVIDIA GPU and its driver; got NVML: .*; measure on the CPU"):
        detect("cuda")
    assert house.opened == 0


def test_no_pynvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingError, match="pip install nvidia-ml-py"):
        detect("cuda")


def test_gpu_that_stops_answering_is_not_there(house: House) -> None:
    house.gpus("NVIDIA H200")
    with pytest.raises(MissingError, match="got NVML: GPU is lost"), device.nvml() as (nvml, _):
        assert house.opened == 1
        raise nvml.NVMLError("GPU is lost")
    assert house.opened == 0


def test_device_is_lost_or_it_is_not(house: House) -> None:
    house.gpus("NVIDIA H200")
    found = detect("cuda")
    assert device.lost(found) == ""
    assert device.lost(detect("cpu")) == ""
    house.gpus("NVIDIA A40")
    assert device.lost(found) == "NVIDIA A40 in place of NVIDIA H200"
    house.gpus()
    assert device.lost(found) == "NVML: Invalid Argument"


@pytest.mark.gpu
def test_gpu_of_this_machine() -> None:
    found = detect("cuda")
    assert found.kind == "cuda"
    assert found.memory_bytes is not None
    assert found.memory_bytes > 2**30
