"""MobileBERT (Sun et al., 2020): deep and thin, bottlenecks around every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._transformers import MIDDLE, SMALL, TextArchitecture, text_grid
from ftax_model.workload import Workload


class Mobilebert(TextArchitecture):
    """Bidirectional transformer encoder: ``hidden_size`` between layers, ``bottleneck_size`` inside."""

    family = "text-encoder"
    config_class, model_class = "MobileBertConfig", "MobileBertModel"
    constants = {"classifier_activation": False}
    keywords = {**TextArchitecture.keywords, "bottleneck_size": "intra_bottleneck_size"}
    defaults = {
        "num_layers": 24,
        "hidden_size": 512,
        "bottleneck_size": 128,
        "num_heads": 4,
        "intermediate_size": 512,
        "num_feedforward_networks": 4,
        "embedding_size": 128,
        "vocab_size": 30_522,
    }
    presets = {"mobilebert": {}}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width inside."""
        super().check({**settings, "hidden_size": settings["bottleneck_size"]})

    def grid(self) -> list[Workload]:
        """Small to middle."""
        small = {**SMALL, "bottleneck_size": 32, "num_feedforward_networks": 2, "embedding_size": 32}
        return text_grid("mobilebert", small, {**MIDDLE, "bottleneck_size": 64, "embedding_size": 64})
