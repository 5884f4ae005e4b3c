"""BERT (Devlin et al., 2019), the encoder with its pooler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import divides
from ftax_model.architectures._transformers import TextArchitecture
from ftax_model.workload import Workload, grid


class Bert(TextArchitecture):
    """Bidirectional transformer encoder; the small presets are those of Turc et al. (2019)."""

    family = "text-encoder"
    config_class, model_class = "BertConfig", "BertModel"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30_522,
    }
    presets = {
        "bert-tiny": {"num_layers": 2, "hidden_size": 128, "num_heads": 2, "intermediate_size": 512},
        "bert-mini": {"num_layers": 4, "hidden_size": 256, "num_heads": 4, "intermediate_size": 1024},
        "bert-small": {"num_layers": 4, "hidden_size": 512, "num_heads": 8, "intermediate_size": 2048},
        "bert-medium": {"num_layers": 8, "hidden_size": 512, "num_heads": 8, "intermediate_size": 2048},
        "bert-base": {},
        "bert-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width."""
        divides(settings, "num_heads", "hidden_size")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """`BertConfig`; the position table grows with the input."""
        settings = workload.settings
        return {
            "num_hidden_layers": settings["num_layers"],
            "hidden_size": settings["hidden_size"],
            "num_attention_heads": settings["num_heads"],
            "intermediate_size": settings["intermediate_size"],
            "vocab_size": settings["vocab_size"],
            "max_position_embeddings": max(512, workload.input_size or 0),
        }

    def grid(self) -> list[Workload]:
        """Tiny to small, short and long, fixed and padded."""
        small = {"num_heads": 2, "intermediate_size": 512, "vocab_size": 1024}
        return [
            *grid("bert", num_layers=2, hidden_size=128, **small, input_size=[16, 128]),
            *grid("bert", num_layers=2, hidden_size=128, **small, input_size=64, batch_size=4, lengths="penn-treebank"),
            *grid("bert", num_layers=4, hidden_size=256, **small, input_size=64),
            *grid("bert", preset=["bert-mini", "bert-small"], input_size=128),
        ]
