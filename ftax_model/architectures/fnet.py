"""FNet (Lee-Thorp et al., 2022): Fourier transforms in place of attention."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._torch import input_size
from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class Fnet(TextArchitecture):
    """Bidirectional encoder with its pooler; it has no mask, and torch no such transforms in half precision."""

    family = "text-encoder"
    lengths = ("fixed",)
    dtypes = ("float32",)
    config_class, model_class = "FNetConfig", "FNetModel"
    defaults = {"num_layers": 12, "hidden_size": 768, "intermediate_size": 3072, "vocab_size": 32_000}
    presets = {"fnet-base": {}, "fnet-large": {"num_layers": 24, "hidden_size": 1024, "intermediate_size": 4096}}

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, for sequences of the input size."""
        return super().configuration(workload) | {"tpu_short_seq_length": input_size(workload)}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        small = {"num_layers": 2, "hidden_size": 128, "intermediate_size": 512, "vocab_size": 1024}
        middle = {**small, "num_layers": 4, "hidden_size": 256, "intermediate_size": 1024}
        return text_grid("fnet", small, middle, lengths="fixed")
