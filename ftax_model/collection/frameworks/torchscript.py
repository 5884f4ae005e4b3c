"""TorchScript: traced, frozen and optimised for inference."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks._torch import TorchFramework, flat
from ftax_model.device import Device


class Torchscript(TorchFramework):
    """``torch.jit``: trace, freeze, optimise; anew for every batch size, since a trace may hold sizes as constants."""

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """The optimised script with its inputs bound."""
        import torch

        values = tuple(inputs.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is; this framework exists to measure it
            warnings.simplefilter("ignore", FutureWarning)  # tracing reads every attribute of a transformers model
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            traced = torch.jit.trace(flat(model, inputs), values, check_trace=False)
            script = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        return functools.partial(script, *values)
