"""GPT-2 (Radford et al., 2019), one forward pass without the language-model head and without a cache."""

from __future__ import annotations

from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload, grid


class Gpt2(TextArchitecture):
    """Causal transformer decoder."""

    family = "generation"
    config_class, model_class = "GPT2Config", "GPT2Model"
    keywords = {
        "num_layers": "n_layer",
        "hidden_size": "n_embd",
        "num_heads": "n_head",
        "intermediate_size": "n_inner",
    }
    constants = {"use_cache": False, "bos_token_id": None, "eos_token_id": None}
    positions = ("n_positions", 1024)
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

    def grid(self) -> list[Workload]:
        """Small to middle, and half the size of a published one."""
        return [*text_grid("gpt2"), *grid("gpt2", num_layers=4, hidden_size=512, num_heads=8, intermediate_size=2048)]
