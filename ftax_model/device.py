"""Device: where a workload runs, with its numbers; the host CPU is part of it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ftax_model import plugins
from ftax_model.errors import DataError, MissingError
from ftax_model.fields import MOST_BYTES, SECONDS, Kind, check, each, named_numbers, number, one_of, text, whole
from ftax_model.files import read_toml

KINDS = ("cpu", "cuda", "fake")
CPUINFO = Path("/proc/cpuinfo")
VENDOR = Path("/sys/class/dmi/id/sys_vendor")
"""Who made the machine; it alone tells some CPUs of one core design apart."""

FILE: Mapping[str, Kind] = {
    "kind": one_of(KINDS),
    "match": text(1000),
    "formerly": each(text(1000)),
    "source": text(),
    "memory_bytes": number("bytes", MOST_BYTES),
    "bandwidth": number("bytes a second", 1e18, 1e3),
    "l2_bytes": number("bytes", 1e12),
    "multiprocessors": whole(0, 1_000_000),
    **dict.fromkeys(("peak_macs", "tensor_macs"), named_numbers("MACs a second", 1e21, 1e3)),
    **dict.fromkeys(("launch_s", "graph_launch_s"), SECONDS),
}
"""What a device file may tell; its kind and its peaks it does."""

INSTRUCTIONS: Mapping[str, str] = {
    "avx2": "avx2", "avx512f": "avx512", "avx512_vnni": "avx512-vnni", "avx512_bf16": "avx512-bf16", "amx_tile": "amx",
    "asimd": "asimd", "sve": "sve", "bf16": "bf16",
}  # fmt: skip
"""Sets of vector instructions that tell CPUs apart, by the flag that the kernel shows, narrow to wide."""

_WIDEST = ("amx", "avx512", "avx2", "sve", "asimd")
"""Sets that the name of an unknown CPU may end in."""


@dataclass(frozen=True)
class Device:
    """A CPU or a GPU model, and the host that feeds it.

    Parameters
    ----------
    name : slug used in files, e.g. ``nvidia-h200`` or ``amd-epyc-2core``.
    kind : ``cpu``, ``cuda`` or ``fake``.
    model : the maker's name, as the driver or ``/proc/cpuinfo`` gives it.
    host_cpu : model of the CPU that runs the framework.
    cores : CPU cores that this process may use.
    memory_bytes : memory of the device; ``None`` where unknown.
    bandwidth : peak bytes per second of that memory; ``None`` where unknown.
    peak_macs : peak multiply-accumulates per second for each dtype; empty where unknown.
    source : where those peaks were read.
    """

    name: str
    kind: str
    model: str
    host_cpu: str
    cores: int
    memory_bytes: int | None = None
    bandwidth: float | None = None
    peak_macs: tuple[tuple[str, float], ...] = field(default=())
    source: str = ""

    def __post_init__(self) -> None:
        plugins.check(self.kind, KINDS, what="device kind")

    def peak(self, dtype: str) -> float | None:
        """Peak multiply-accumulates per second in ``dtype``, or ``None`` where unknown."""
        return dict(self.peak_macs).get(dtype)


def names() -> list[str]:
    """Devices whose numbers ship with the package."""
    return plugins.names("ftax_model.devices", suffix=".toml")


@dataclass(frozen=True)
class Rates:
    """What a device can do at most in one precision, by its data sheet.

    ``macs`` are the multiply-accumulates per second of products of matrices, ``convolution_macs`` those of
    convolutions, as torch uses the device by default: on NVIDIA GPUs TF32 for convolutions of single precision and not
    for products. ``vector_macs`` are those of units that are not made for matrices. ``bandwidth`` is in bytes per
    second, ``None`` where unknown; ``l2_bytes`` and ``multiprocessors`` are those of a GPU, 0 elsewhere.
    """

    kind: str
    macs: float
    convolution_macs: float
    vector_macs: float
    bandwidth: float | None = None
    l2_bytes: float = 0.0
    multiprocessors: int = 0


def rates(device: str, dtype: str, threads: int) -> Rates | None:
    """What the device file for a device says of it, by the name that measurements carry, that of the file or its path.

    On a CPU of so many threads, on a GPU of the whole. ``None`` where no file tells the multiply-accumulates in
    ``dtype``.

    >>> rates("amd-epyc-turin-2core", "float32", 2).macs
    320000000000.0
    >>> rates("nvidia-a100-sxm4-40gb", "float32", 1).convolution_macs
    78000000000000.0
    """
    table = file_of(device)
    if table is None:
        return None
    units = threads if table["kind"] == "cpu" else 1
    vector, matrix = table["peak_macs"].get(dtype), table.get("tensor_macs", {}).get(dtype)
    macs = matrix or vector
    if not macs:
        return None
    by_default = table.get("tensor_macs", {}).get("tf32") if dtype == "float32" else None
    return Rates(
        kind=table["kind"],
        macs=float(macs) * units,
        convolution_macs=float(by_default or macs) * units,
        vector_macs=float(vector or table["peak_macs"].get("float32") or macs) * units,
        bandwidth=table.get("bandwidth"),
        l2_bytes=float(table.get("l2_bytes", 0)),
        multiprocessors=int(table.get("multiprocessors", 0)),
    )


def file_of(device: str) -> dict[str, Any] | None:
    """The table of the device file that a name means: of a file's own name, its path, or one that its pattern matches.

    ``None`` where there is no such file. Raises what `specification` raises for a path.
    """
    name = canonical(device)
    return specification(name) if name.endswith(".toml") or name in names() else None


@lru_cache(maxsize=1024)
def canonical(device: str) -> str:
    """The name of the device file that a name means, or the name itself where there is none.

    >>> canonical("nvidia-a100-sxm4-40gb"), canonical("amd-epyc-turin-2core"), canonical("fake")
    ('nvidia-a100-sxm-40gb', 'amd-epyc-turin', 'fake')
    """
    if device.endswith(".toml") or device in names():
        return device
    begins = [name for name in names() if re.match(rf"{name}\b", device)]
    if begins:
        return max(begins, key=len)
    words = device.replace("-", " ")
    found = (name for name in names() if re.search(specification(name)["match"], words, re.IGNORECASE))
    return next(found, device)


def cores_of(device: str) -> int | None:
    """CPU cores that the name of a device tells, that of one which a fleet told apart too; ``None`` where it does not.

    >>> cores_of("amd-epyc-turin-2core"), cores_of("amd-epyc-turin-2core-b"), cores_of("nvidia-h200")
    (2, 2, None)
    """
    found = re.search(r"-(\d+)core(-[a-z])?$", device)
    return int(found[1]) if found else None


def specification(name: str) -> dict[str, Any]:
    """The table in ``devices/<name>.toml``, or in a file of one's own, ``path/to/<name>.toml``.

    Raises `InputError` for a name that is not there, `DataError` for a file that cannot be read.
    """
    return _table(Path(name)) if name.endswith(".toml") else _shipped(name)


@cache
def _shipped(name: str) -> dict[str, Any]:
    return _table(plugins.path("ftax_model.devices", name, suffix=".toml"))


def _table(file: Path) -> dict[str, Any]:
    found = read_toml(file, law="a device file is TOML")
    for name in found:
        plugins.check(name, FILE, what=f"key of a device file, {file},")
    missing = [name for name in ("kind", "peak_macs") if name not in found]
    if missing:
        raise DataError("a device file tells kind and peak_macs", f"no {missing[0]} in {file}", "add it")
    check(FILE, found, what="the file", where=str(file))
    return found


def detect(kind: str = "cpu") -> Device:
    """The device of that kind on this machine.

    Raises `InputError` for another kind and `MissingError` where there is no GPU or no driver.
    """
    host = cpu_model()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if kind == "fake":
        return Device(name="fake", kind="fake", model="fake", host_cpu=host, cores=cores)
    if kind == "cpu":
        found = Device(
            name=f"{_cpu_name(host)}-{cores}core",
            kind="cpu",
            model=host,
            host_cpu=host,
            cores=cores,
            memory_bytes=_memory(),
        )
        return _with_peaks(found, per_core=True)
    if kind == "cuda":
        model, memory = _gpu()
        found = Device(
            name=named("cuda", model),
            kind="cuda",
            model=model,
            host_cpu=host,
            cores=cores,
            memory_bytes=memory,
        )
        return _with_peaks(found, per_core=False)
    plugins.check(kind, KINDS, what="device kind")
    raise AssertionError  # each of those is handled above


def physical_cores(device: Device) -> int:
    """Physical cores of a device of this machine, or of its host, that this process may use."""
    import psutil

    return min(psutil.cpu_count(logical=False) or 1, device.cores)


@contextmanager
def nvml() -> Iterator[tuple[Any, Any]]:
    """NVML, the library, and its handle of the GPU that a CUDA program in this environment calls device 0.

    Raises `MissingError` where there is no such GPU, no driver or no ``pynvml``, and for any error of NVML that the
    block leaves to it: a GPU that does not answer is not there.
    """
    try:
        import pynvml
    except ImportError as error:
        raise MissingError("a GPU is found through pynvml", "no such package", "pip install nvidia-ml-py") from error
    try:
        pynvml.nvmlInit()
        try:
            yield pynvml, _first_visible(pynvml)
        finally:
            with suppress(pynvml.NVMLError):  # of a GPU that has been lost since
                pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        cure = "measure on the CPU, or install the NVIDIA driver and run again"
        raise MissingError("device cuda needs an NVIDIA GPU and its driver", f"NVML: {error}", cure) from error


def named(kind: str, model: str) -> str:
    """The name of a device of this model: that of the device file which knows it, else the maker's, short.

    >>> named("cuda", "NVIDIA A100-SXM4-40GB"), named("cuda", "NVIDIA GeForce GT 710")
    ('nvidia-a100-sxm-40gb', 'nvidia-geforce-gt-710')
    """
    return _known(kind, model) or _slug(model)


def lost(device: Device) -> str:
    """Why a device that `detect` found is no longer there; empty where it is."""
    try:
        found = detect(device.kind).model
    except MissingError as error:
        return error.got
    return "" if found == device.model else f"{found} in place of {device.model}"


def cpu_model() -> str:
    """Model name of the host CPU; in brackets what a name may hide: family, model and sets of vector instructions.

    A hypervisor may call every CPU of a maker the same, and on ARM the kernel has numbers alone.
    """
    info = _cpuinfo()
    name = re.sub(r"\((R|TM|r|tm)\)", "", info.get("model name", "")) or platform.processor() or platform.machine()
    told = {"cpu family": "family", "model": "model"}
    if "CPU part" in info:
        name, told = info.get("model name", "ARM"), {"CPU implementer": "implementer", "CPU part": "part"}
    numbers = [f"{word} {info[key]}" for key, word in told.items()] if told.keys() <= info.keys() else []
    flags = set((info.get("flags") or info.get("Features") or "").split())
    sets = [word for flag, word in INSTRUCTIONS.items() if flag in flags]
    maker = _vendor() if "CPU part" in info else []
    brackets = [*numbers, *sets, *maker]
    return " ".join(name.split()) + (f" ({', '.join(brackets)})" if brackets else "")


@lru_cache(maxsize=1024)
def renamed(name: str, model: str) -> str:
    """The name that a CPU has today, given the one and the model that a record of an earlier version holds.

    >>> renamed("intel-xeon-2core", "Intel Xeon Processor (family 6, model 167)")
    'intel-xeon-amx-2core'
    """
    short, _, cores = name.rpartition("-")
    if not cores.endswith("core") or short != _slug(model) or re.search(r"[0-9]", short):
        return name
    return f"{_known('cpu', model) or short}-{cores}"


def _cpu_name(model: str) -> str:
    """The maker's name, short; where it tells the series alone, that of the device file which knows the model.

    Where no file does, the widest set of instructions tells generations apart.
    """
    short = _slug(model)
    if re.search(r"[0-9]", short):
        return short
    widest = next((f"-{name}" for name in _WIDEST if re.search(rf"\b{name}\b", model)), "")
    return _known("cpu", model) or f"{short}{widest}"


def _vendor() -> list[str]:
    try:
        return [VENDOR.read_text(encoding="utf-8", errors="replace").strip()]
    except OSError:
        return []


def _known(kind: str, model: str) -> str | None:
    """Name of the device file that describes this model, where there is one.

    A file may say by ``formerly`` how records of the model looked before they told instructions.
    """
    tables = ((name, specification(name)) for name in names())
    own = ((name, [table["match"], *table.get("formerly", [])]) for name, table in tables if table["kind"] == kind)
    return next((name for name, patterns in own if any(re.search(p, model) for p in patterns)), None)


def _with_peaks(device: Device, *, per_core: bool) -> Device:
    name = _known(device.kind, device.model)
    if name is None:
        return device
    table = specification(name)
    factor = device.cores if per_core else 1
    peaks = {dtype: float(rate) * factor for dtype, rate in table["peak_macs"].items()}
    for own, rate in table.get("tensor_macs", {}).items():
        dtype = "float32" if own == "tf32" else own
        peaks[dtype] = max(peaks.get(dtype, 0.0), float(rate))
    return replace(device, peak_macs=tuple(peaks.items()), bandwidth=table.get("bandwidth"), source=table["source"])


def _slug(model: str) -> str:
    plain = re.sub(r"\([^()]*\)|@.*|\bCPU\b|\bProcessor\b", " ", model)
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))


def _cpuinfo() -> dict[str, str]:
    if not CPUINFO.exists():
        return {}
    first = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _gpu() -> tuple[str, int]:
    with nvml() as (library, handle):
        return str(library.nvmlDeviceGetName(handle)), int(library.nvmlDeviceGetMemoryInfo(handle).total)


def _first_visible(library: Any) -> Any:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    first = visible.split(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return library.nvmlDeviceGetHandleByUUID(first)
    if first.isdecimal():
        return library.nvmlDeviceGetHandleByIndex(int(first))
    cure = "unset it, or measure on the CPU"
    raise MissingError("device cuda needs a GPU that this process may use", f"CUDA_VISIBLE_DEVICES={visible!r}", cure)
