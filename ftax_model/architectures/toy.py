"""Square products and nothing else, with no torch: a workload whose trace is known by construction."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._base import Architecture
from ftax_model.operators import Operator, Trace
from ftax_model.workload import DTYPES, Workload, grid


class Toy(Architecture):
    """``num_layers`` products of (batch x input size, width) with (width, width), one after the other."""

    family = "block"
    input_unit = "features"
    default_input_size = 1
    defaults = {"num_layers": 4, "width": 64}
    form = "trace"
    preload = ()

    def build(self, workload: Workload) -> tuple[Trace, dict[str, Any]]:
        """The trace itself in place of a module, and no inputs."""
        layers, width = workload.settings["num_layers"], workload.settings["width"]
        rows, size = workload.batch_size * (workload.input_size or 1), DTYPES[workload.dtype]
        operators = [
            Operator(
                kind="mm",
                inputs=((rows, width), (width, width)),
                outputs=((rows, width),),
                macs=rows * width * width,
                activation_bytes=2 * rows * width * size,
                weight_bytes=width * width * size,
                level=layer + 1,
                attributes={"batch": 1, "m": rows, "k": width, "n": width},
                layer=str(layer),
                live_bytes=(2 + (layer > 0)) * rows * width * size,
            )
            for layer in range(layers)
        ]
        params = layers * width * width
        return Trace(tuple(operators), params, model_bytes=params * size), {}

    def grid(self) -> list[Workload]:
        """Shallow to deep, narrow to wide."""
        return grid("toy", num_layers=[2, 8, 32], width=[8, 64, 256])
