"""Funnel Transformer (Dai et al., 2020): each block halves the sequence, a small decoder restores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import even
from ftax_model.architectures._torch import at_least
from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class Funnel(TextArchitecture):
    """Transformer encoder of ``depths`` layers in blocks, the first at full length, with relative attention."""

    family = "text-encoder"
    config_class, model_class = "FunnelConfig", "FunnelModel"
    keywords = {
        "depths": "block_sizes",
        "hidden_size": "d_model",
        "num_heads": "n_head",
        "head_size": "d_head",
        "intermediate_size": "d_inner",
    }
    defaults = {
        "depths": (4, 4, 4),
        "num_decoder_layers": 2,
        "hidden_size": 768,
        "num_heads": 12,
        "head_size": 64,
        "intermediate_size": 3072,
        "vocab_size": 30_522,
    }
    presets = {
        "funnel-small": {},
        "funnel-large": {"depths": (8, 8, 8), "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
        "funnel-xlarge": {"depths": (10, 10, 10), "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """As the base says, and positions are pairs of sine and cosine."""
        super().check(settings)
        even(settings, "hidden_size")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; each block but the first halves the sequence, which keeps two tokens."""
        full = super().complete(workload)
        halvings = len(full.settings["depths"]) - 1
        return at_least(full, 2**halvings + 1 if halvings else 1)

    def grid(self) -> list[Workload]:
        """Small to middle."""
        small = {"hidden_size": 64, "num_heads": 2, "head_size": 32, "intermediate_size": 256, "vocab_size": 1024}
        middle = {**small, "hidden_size": 256, "num_heads": 4, "head_size": 64, "intermediate_size": 1024}
        return text_grid("funnel", {"depths": (1, 1), **small}, {"depths": (2, 2, 2), **middle})
