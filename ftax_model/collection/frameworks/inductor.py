"""Inductor: torch.compile with its default backend, for exactly the shapes at hand."""

from __future__ import annotations

import functools
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ftax_model.collection.frameworks._torch import TorchFramework
from ftax_model.device import Device
from ftax_model.workload import Workload


class Inductor(TorchFramework):
    """Compiled anew for every batch size: shapes are constants, and no cache of an earlier run is used.

    Only the C++ headers stay, which torch precompiles once for a machine. No batch size runs code made for another:
    shapes left free would be a framework of their own. Threads are those of torch, written into the code.

    All compiling is done while preparing. A call that would compile again later raises `RuntimeError` with the guard
    that failed: what it took is no inference.
    """

    preload = ("torch", "torch._inductor.compile_fx")

    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cpu": {}, "cuda": {}}
    """Options of the backend for each kind of device."""
    calls_to_settle: ClassVar[int] = 2
    """Calls that may compile; the second because of what the first one left in the model."""

    def supports(self, workload: Workload, device: Device) -> str | None:
        """As the base says, and code for a CPU needs a C++ compiler, code for a GPU needs Triton and a C compiler."""
        return super().supports(workload, device) or _without_compiler(device)

    @contextmanager
    def mode(self) -> Iterator[None]:
        """Inference mode; in the end torch may compile again."""
        import torch

        with torch.inference_mode(), torch.compiler.set_stance("default"):
            yield

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """The compiled module with its inputs bound, called until it has settled."""
        import torch
        from torch._dynamo.exc import BackendCompilerFailed
        from torch._inductor.utils import fresh_cache

        torch.compiler.set_stance("default")
        torch.compiler.reset()
        options = {**self.options[device.kind], "cpp_cache_precompile_headers": shutil.which("openssl") is not None}
        call = functools.partial(torch.compile(model, dynamic=False, options=options), **inputs)
        with tempfile.TemporaryDirectory() as folder, fresh_cache(dir=folder):
            try:
                for _ in range(self.calls_to_settle):
                    call()
            except BackendCompilerFailed as error:
                raise NotImplementedError(f"torch.compile cannot compile it: {error}") from error
        torch.compiler.set_stance("fail_on_recompile")
        return call


def _without_compiler(device: Device) -> str | None:
    """The reason why torch.compile makes no code for the device, or ``None``."""
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "torch.compile needs the headers of Python (Python.h), which this machine lacks"
    if device.kind == "cuda":
        from torch.utils._triton import has_triton_package

        if not has_triton_package():
            return "torch.compile for a GPU needs Triton, which is not installed"
        compilers = (os.environ.get("CC") or "gcc", "gcc", "clang")
        return None if any(map(shutil.which, compilers)) else "Triton needs a C compiler, and there is none"
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile needs a C++ compiler on a CPU, and there is none"
    return None
