"""DeiT (Touvron et al., 2021): a Vision Transformer with a token for distillation."""

from __future__ import annotations

from ftax_model.architectures._torch import multiple
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.workload import Workload, grid


class Deit(ImageArchitecture):
    """Classifier with two heads, whose mean is its answer."""

    config_class, model_class = "DeiTConfig", "DeiTForImageClassificationWithTeacher"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "patch_size": 16,
        "num_classes": 1000,
    }
    presets = {
        "deit-tiny-distilled": {"hidden_size": 192, "num_heads": 3, "intermediate_size": 768},
        "deit-small-distilled": {"hidden_size": 384, "num_heads": 6, "intermediate_size": 1536},
        "deit-base-distilled": {},
    }

    def complete(self, workload: Workload) -> Workload:
        """As the base says; patches tile the image."""
        full = super().complete(workload)
        patch = full.settings["patch_size"]
        return multiple(full, patch, of=f"patch_size, {patch}")

    def grid(self) -> list[Workload]:
        """Few to many patches."""
        small = {"num_layers": 2, "hidden_size": 64, "num_heads": 2, "intermediate_size": 256, "num_classes": 10}
        middle = {"num_layers": 4, "hidden_size": 192, "num_heads": 3, "intermediate_size": 768}
        return [
            *grid("deit", **small, input_size=[32, 96]),
            *grid("deit", **middle, patch_size=[16, 32], input_size=128),
        ]
