"""TorchScript: traced, frozen and optimised for inference."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks._torch import TorchFramework, flat
from ftax_model.device import Device


class Torchscript(TorchFramework):
    """``torch.jit``: trace, freeze, optimise; anew for every batch size, since a trace may hold sizes as constants.

    What a TorchScript file holds was traced or compiled before: it is frozen and optimised.
    """

    takes = ("module", "script")

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """The optimised script with its inputs bound; raises `NotImplementedError` for what cannot be traced."""
        import torch

        values = tuple(inputs.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is; this framework exists to measure it
            warnings.simplefilter("ignore", FutureWarning)  # tracing reads every attribute of a transformers model
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            if isinstance(model, torch.jit.ScriptModule):
                return functools.partial(torch.jit.optimize_for_inference(model), **inputs)
            try:
                traced = torch.jit.trace(flat(model, inputs), values, check_trace=False)
            except RuntimeError as error:
                if "SymInts" in str(error):
                    raise NotImplementedError("torch.jit traces no program of torch.export") from error
                raise
            script = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        return functools.partial(script, *values)
