"""Nystromformer (Xiong et al., 2021): attention approximated through landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import odd
from ftax_model.architectures._torch import input_size, multiple
from ftax_model.architectures._transformers import MIDDLE, SMALL, TextArchitecture, padding_mask, text_grid, token_ids
from ftax_model.workload import Workload


class Nystromformer(TextArchitecture):
    """Bidirectional transformer encoder; with as many tokens as ``num_landmarks`` its attention is exact.

    The approximation of transformers takes no half precision, and an additive mask alone, which is always given.
    """

    family = "text-encoder"
    dtypes = ("float32",)
    config_class, model_class = "NystromformerConfig", "NystromformerModel"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "num_landmarks": 64,
        "conv_kernel_size": 65,
        "vocab_size": 30_000,
    }
    presets = {"nystromformer-512": {}}

    def check(self, settings: Mapping[str, Any]) -> None:
        """As the base says, and the convolution keeps the length."""
        super().check(settings)
        odd(settings, "conv_kernel_size")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; the landmarks part the sequence evenly."""
        full = super().complete(workload)
        landmarks = full.settings["num_landmarks"]
        return multiple(full, landmarks, of=f"num_landmarks, {landmarks}")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, for sequences of the input size."""
        return super().configuration(workload) | {"segment_means_seq_len": input_size(workload)}

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random token ids, and a mask of (batch, 1, 1, tokens): 0 for tokens, the most negative number for padding."""
        import torch

        mask = padding_mask(workload)
        padding = (mask == 0)[:, None, None] * torch.finfo(torch.float32).min
        return {"input_ids": token_ids(workload) * mask, "attention_mask": padding}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        small = {"num_landmarks": 8, "conv_kernel_size": 5}
        return text_grid("nystromformer", {**SMALL, **small}, {**MIDDLE, **small, "num_landmarks": 16})
