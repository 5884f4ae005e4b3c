"""The first pass of a Llama over a prompt, which fills the cache and gives the logits of the last token."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._llama import LLAMA_MIDDLE, LLAMA_SMALL, LlamaArchitecture
from ftax_model.architectures._transformers import text_grid
from ftax_model.workload import Workload


class LlamaPrefill(LlamaArchitecture):
    """A prompt of ``input_size`` tokens."""

    presets = {f"{name}-prefill": preset for name, preset in LlamaArchitecture.sizes.items()}

    def module(self, workload: Workload) -> Any:
        """The model, which takes ``input_ids`` and returns logits, keys and values."""
        from ftax_model.architectures._generation import Prefill

        return Prefill(self.model(workload))

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("llama-prefill", LLAMA_SMALL, LLAMA_MIDDLE, lengths="fixed")
