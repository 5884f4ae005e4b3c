"""GPT-2 (Radford et al., 2019), one forward pass without the language-model head and without a cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import divides
from ftax_model.architectures._transformers import TextArchitecture
from ftax_model.workload import Workload, grid


class Gpt2(TextArchitecture):
    """Causal transformer decoder."""

    family = "generation"
    config_class, model_class = "GPT2Config", "GPT2Model"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 50_257,
    }
    presets = {
        "distilgpt2": {"num_layers": 6},
        "gpt2": {},
        "gpt2-medium": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
        "gpt2-large": {"num_layers": 36, "hidden_size": 1280, "num_heads": 20, "intermediate_size": 5120},
        "gpt2-xl": {"num_layers": 48, "hidden_size": 1600, "num_heads": 25, "intermediate_size": 6400},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width."""
        divides(settings, "num_heads", "hidden_size")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """`GPT2Config`; the position table grows with the input."""
        settings = workload.settings
        return {
            "n_layer": settings["num_layers"],
            "n_embd": settings["hidden_size"],
            "n_head": settings["num_heads"],
            "n_inner": settings["intermediate_size"],
            "vocab_size": settings["vocab_size"],
            "n_positions": max(1024, workload.input_size or 0),
            "bos_token_id": None,
            "eos_token_id": None,
            "use_cache": False,
        }

    def grid(self) -> list[Workload]:
        """Tiny to small, short and long, fixed and padded."""
        small = {"num_heads": 2, "intermediate_size": 512, "vocab_size": 1024}
        return [
            *grid("gpt2", num_layers=2, hidden_size=128, **small, input_size=[16, 128]),
            *grid("gpt2", num_layers=2, hidden_size=128, **small, input_size=64, batch_size=4, lengths="penn-treebank"),
            *grid("gpt2", num_layers=4, hidden_size=256, **small, input_size=64),
            *grid("gpt2", num_layers=4, hidden_size=512, num_heads=8, intermediate_size=2048, input_size=128),
        ]
