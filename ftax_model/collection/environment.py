"""Environment: the versions, settings and hardware behind a measurement, and the settings themselves."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ftax_model
from ftax_model.collection.timing import Protocol
from ftax_model.device import Device

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def describe(
    *, device: Device, dtype: str, threads: int, modules: Sequence[str], seed: int, protocol: Protocol, model: object
) -> dict[str, Any]:
    """Everything about the surroundings that may bear on a latency, as plain values.

    ``modules`` are those whose versions matter and that were imported; ``model`` is asked for its attention
    implementation.
    """
    peak = device.peak(dtype)
    if peak is not None and device.kind == "cpu":
        peak *= min(threads / device.cores, 1.0)
    found = {
        "versions": versions(modules),
        "os": f"{platform.system()} {platform.release()}",
        "device_model": device.model,
        "host_cpu": device.host_cpu,
        "cores": device.cores,
        "affinity": sorted(os.sched_getaffinity(0)),
        "governor": governor(),
        "peak_macs": peak,
        "seed": seed,
        "protocol": protocol.to_record(),
        "torch": torch_settings(model) if "torch" in modules else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def versions(modules: Sequence[str]) -> dict[str, str]:
    """Versions of this package, of Python and of the imported ones among ``modules``."""
    found = {"ftax_model": ftax_model.__version__, "python": platform.python_version()}
    for name in dict.fromkeys(module.partition(".")[0] for module in modules):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


def governor() -> str | None:
    """What steers the first CPU's frequency; ``None`` where the kernel does not tell."""
    try:
        return _GOVERNOR.read_text(encoding="ascii").strip()
    except OSError:
        return None


def torch_settings(model: object) -> dict[str, Any]:
    """The switches of torch that change what a model costs, and on a GPU the versions of its libraries."""
    import torch

    cuda = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()} if torch.cuda.is_initialized() else {}
    return {
        **cuda,
        "threads": torch.get_num_threads(),
        "attention": _attention(model),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
    }


@contextmanager
def settled(*, threads: int, device: Device, seed: int, modules: Sequence[str]) -> Iterator[None]:
    """Hold the thread count, the CPU affinity and the random seeds of one platform; put them back afterwards.

    On a CPU the process may use the first ``threads`` of its CPUs. On a GPU it keeps them all, since the driver has
    threads of its own. Torch is told only where ``modules`` name it.
    """
    allowed = os.sched_getaffinity(0)
    environment = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    random.seed(seed)
    if device.kind == "cpu":
        os.sched_setaffinity(0, sorted(allowed)[:threads])
    try:
        with _torch_settled(threads, seed) if "torch" in modules else _untouched():
            yield
    finally:
        os.sched_setaffinity(0, allowed)
        _restore(environment)


@contextmanager
def _torch_settled(threads: int, seed: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _untouched() -> Iterator[None]:
    yield


def _restore(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _attention(model: Any) -> str | None:
    modules = model.modules() if hasattr(model, "modules") else ()
    configs = (getattr(module, "config", None) for module in modules)
    return next((found for config in configs if (found := getattr(config, "_attn_implementation", None))), None)
