"""GPT-2 writing: greedy generation with a cache of keys and values, the paper's setting."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._torch import input_size
from ftax_model.architectures._transformers import MIDDLE, SMALL, TextArchitecture
from ftax_model.architectures.gpt2 import Gpt2
from ftax_model.workload import Workload, grid


class Gpt2Generate(TextArchitecture):
    """``num_new_tokens`` tokens after a prompt of ``input_size``; logits of the last token alone."""

    family = "generation"
    lengths = ("fixed",)
    config_class, model_class = "GPT2Config", "GPT2LMHeadModel"
    keywords = Gpt2.keywords
    constants = {"bos_token_id": None, "eos_token_id": None}
    defaults = {**Gpt2.defaults, "num_new_tokens": 16}
    presets = {f"{name}-generate": preset for name, preset in Gpt2.presets.items()}

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As for GPT-2, with positions for the new tokens."""
        configuration = super().configuration(workload)
        length = input_size(workload) + configuration.pop("num_new_tokens")
        del configuration["max_position_embeddings"]
        return configuration | {"n_positions": max(1024, length)}

    def module(self, workload: Workload) -> Any:
        """The model in a loop of fixed length."""
        from ftax_model.architectures._generation import Generate

        return Generate(self.model(workload), workload.settings["num_new_tokens"])

    def grid(self) -> list[Workload]:
        """Few and many tokens after short and long prompts."""
        return [
            *grid("gpt2-generate", **SMALL, num_new_tokens=[2, 16], input_size=8),
            *grid("gpt2-generate", **SMALL, num_new_tokens=8, input_size=128, batch_size=2),
            *grid("gpt2-generate", **MIDDLE, num_new_tokens=4, input_size=64),
        ]
