"""SqueezeBERT (Iandola et al., 2020): BERT whose products are grouped convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import divides
from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload

GROUPED = ("q_groups", "k_groups", "v_groups", "intermediate_groups", "output_groups")


class Squeezebert(TextArchitecture):
    """Bidirectional transformer encoder with its pooler; all but the projection after attention is in ``groups``."""

    family = "text-encoder"
    config_class, model_class = "SqueezeBertConfig", "SqueezeBertModel"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "groups": 4,
        "vocab_size": 30_522,
    }
    presets = {"squeezebert": {}}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width, and groups both widths."""
        super().check(settings)
        divides(settings, "groups", "hidden_size")
        divides(settings, "groups", "intermediate_size")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """Embeddings as wide as the layers, and the groups of every product."""
        configuration = super().configuration(workload)
        groups = configuration.pop("groups")
        return configuration | {"embedding_size": configuration["hidden_size"]} | dict.fromkeys(GROUPED, groups)

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("squeezebert")
