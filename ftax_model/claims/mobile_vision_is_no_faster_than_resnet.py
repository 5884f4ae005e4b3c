"""Mobile vision models have a tenth of the MACs of ResNet-50 and are about as slow."""

from __future__ import annotations

import math

from ftax_model.claims._base import FLAT
from ftax_model.claims._variants import Variant


class MobileVisionIsNoFasterThanResnet(Variant):
    """MobileNetV2, EfficientNet-B0 and MobileViT beside ResNet-50."""

    statement = "Mobile vision models have a fraction of the MACs of ResNet-50 and hardly less latency at batch 1"
    source = "section 4.2.2; appendix D"
    test = "a case is one model and precision in eager mode: fewer MACs, and at least 0.8 of the latency of ResNet-50"
    lacking = "no mobile vision model and ResNet-50 with one input size at batch 1 in eager mode"
    variant, original = ("mobilenet-v2-1.0", "efficientnet-b0", "mobilevit-small"), "resnet-50"
    wanted = (1 / FLAT, math.inf)
    plan = (
        {"architecture": "mobilenet-v2", "preset": "mobilenet-v2-1.0", "batch_size": 1, "frameworks": "eager"},
        {"architecture": "resnet", "preset": "resnet-50", "batch_size": 1, "frameworks": "eager"},
    )
