"""Longformer (Beltagy et al., 2020): attention within a sliding window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import even
from ftax_model.architectures._torch import input_size
from ftax_model.architectures._transformers import MIDDLE, SMALL, TextArchitecture, text_grid
from ftax_model.errors import InputError
from ftax_model.workload import Workload


class Longformer(TextArchitecture):
    """Bidirectional transformer encoder with its pooler; sequences are padded to a multiple of ``attention_window``."""

    family = "text-encoder"
    config_class, model_class = "LongformerConfig", "LongformerModel"
    constants = {"type_vocab_size": 1, "pad_token_id": 1}
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "attention_window": 512,
        "vocab_size": 50_265,
    }
    presets = {
        "longformer-base-4096": {},
        "longformer-large-4096": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width; the window has two halves."""
        super().check(settings)
        even(settings, "attention_window")
        if settings["attention_window"] < 4:
            raise InputError("attention_window is at least 4", str(settings["attention_window"]), "take a larger one")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """Positions for the padded sequence; they are counted from behind that of padding, 1."""
        window = workload.settings["attention_window"]
        padded = math.ceil(input_size(workload) / window) * window
        return super().configuration(workload) | {"max_position_embeddings": max(4096, padded) + 2}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("longformer", {**SMALL, "attention_window": 16}, {**MIDDLE, "attention_window": 32})
