"""Activations: the share of values in one call that no trained network has: subnormal numbers, NaN, infinity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = ("subnormal", "nan", "infinite")
"""What values are counted as, beside the normal ones."""


def shares(module: Any, inputs: Mapping[str, Any]) -> dict[str, float]:
    """The share of each of `KINDS` among all values that parts of a torch module put out in one untimed call.

    A subnormal number lies so near zero (below 1.2e-38 in float32) that some CPUs compute it in microcode, at a hundred
    cycles each. Those of float16 (below 6.1e-5) do not count: every network has them, and they cost nothing. Outputs
    that are no floating point tensors, or tuples of them, do not count either.
    """
    import torch

    found, total = torch.zeros(len(KINDS), dtype=torch.float64), 0

    def look(_: Any, __: Any, output: Any) -> None:
        nonlocal total
        for value in output if isinstance(output, tuple) else (output,):
            if torch.is_tensor(value) and value.is_floating_point():
                size = value.detach().abs()
                tiny = 0.0 if value.dtype == torch.float16 else torch.finfo(value.dtype).tiny
                small = (size > 0) & (size < tiny)
                found.add_(torch.stack([mask.sum() for mask in (small, size.isnan(), size.isinf())]).cpu())
                total += value.numel()

    handles = [part.register_forward_hook(look) for part in module.modules()]
    try:
        with torch.inference_mode():
            module(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return dict(zip(KINDS, (found / max(total, 1)).tolist(), strict=True))
