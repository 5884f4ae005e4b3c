"""One step of a Llama: one token after those whose keys and values are given."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._llama import LLAMA_MIDDLE, LLAMA_SMALL, LlamaArchitecture
from ftax_model.architectures._torch import input_size, numbers
from ftax_model.architectures._transformers import text_grid
from ftax_model.workload import Workload


class LlamaDecode(LlamaArchitecture):
    """A cache of ``input_size`` tokens; its tensors are inputs and, longer by one token, outputs."""

    presets = {f"{name}-decode": preset for name, preset in LlamaArchitecture.sizes.items()}

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, with a position for the new token."""
        return super().configuration(workload) | {"max_position_embeddings": max(2048, input_size(workload) + 1)}

    def module(self, workload: Workload) -> Any:
        """The model, which takes ``input_ids`` (batch, 1) and the cache."""
        from ftax_model.architectures._generation import Decode

        return Decode(self.model(workload))

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """A random token, and random keys and values of (batch, heads, length, head size) for each layer."""
        import torch

        settings = workload.settings
        shape = settings["num_kv_heads"], input_size(workload), settings["hidden_size"] // settings["num_heads"]
        names = (f"{part}_{layer}" for layer in range(settings["num_layers"]) for part in ("key", "value"))
        ids = torch.randint(settings["vocab_size"], (workload.batch_size, 1))
        return {"input_ids": ids, **{name: numbers(workload, *shape) for name in names}}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("llama-decode", LLAMA_SMALL, LLAMA_MIDDLE, lengths="fixed")
