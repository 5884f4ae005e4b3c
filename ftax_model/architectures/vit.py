"""Vision Transformer (Dosovitskiy et al., 2021)."""

from __future__ import annotations

from ftax_model.architectures._torch import multiple
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.workload import Workload, grid


class Vit(ImageArchitecture):
    """Classifier on patches of ``patch_size`` pixels and one token more; tiny and small are those of DeiT's authors."""

    config_class, model_class = "ViTConfig", "ViTForImageClassification"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "patch_size": 16,
        "num_classes": 1000,
    }
    presets = {
        "vit-tiny-patch16": {"hidden_size": 192, "num_heads": 3, "intermediate_size": 768},
        "vit-small-patch16": {"hidden_size": 384, "num_heads": 6, "intermediate_size": 1536},
        "vit-base-patch16": {},
        "vit-base-patch32": {"patch_size": 32},
        "vit-large-patch16": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
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
            *grid("vit", **small, patch_size=16, input_size=[32, 96]),
            *grid("vit", **middle, patch_size=[16, 32], input_size=[64, 128]),
        ]
