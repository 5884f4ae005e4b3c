"""Twin: a LatencyCost as a module of torch, differentiable, for searches by gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ftax_model.errors import InputError
from ftax_model.nas.cost import STEP, LatencyCost


class Twin(nn.Module):  # type: ignore[misc]
    """Seconds of points between whole numbers: values of hyperparameters (..., n_names) in, seconds (...) out.

    Parameters
    ----------
    cost : what is asked.
    names : hyperparameters that vary, entries of lists as ``widths.2``.
    like : all others, as a candidate of the cost.
    step : as of `LatencyCost.gradient`, whose slopes flow back.

    A weighted mean of choices (FBNet, ProxylessNAS) is one of their values, ``weights @ choices``: the cost of the mean
    network. The mean of their costs, which a table of blocks gives, is ``weights @ cost(choices)``.

    Raises `InputError` where operators are no polynomials of hyperparameters.
    """

    def __init__(self, cost: LatencyCost, names: Sequence[str], like: Any, *, step: float = STEP) -> None:
        super().__init__()
        self.cost, self.names, self.step = cost, tuple(names), step
        self.like = dict(like) if isinstance(like, Mapping) else like
        cost.derive(self.like)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Seconds at each point; raises `InputError` where the last dimension is not one of names."""
        if values.shape[-1:] != (len(self.names),):
            law = f"the last dimension holds {', '.join(self.names)}"
            raise InputError(law, f"shape {tuple(values.shape)}", "give a value for each")
        found: torch.Tensor = _Cost.apply(values, self)
        return found


class _Cost(torch.autograd.Function):  # type: ignore[misc]
    """The cost forward, its slopes backward."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, twin: Twin) -> torch.Tensor:
        rows = values.detach().to("cpu", torch.float64).reshape(-1, len(twin.names)).numpy()
        ctx.twin, ctx.rows = twin, rows
        return _like(twin.cost.smooth(twin.like, twin.names, rows), values, values.shape[:-1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        twin = ctx.twin
        slopes = twin.cost.slopes(twin.like, twin.names, ctx.rows, step=twin.step)
        return grad.unsqueeze(-1) * _like(slopes, grad, (*grad.shape, len(twin.names))), None


def _like(values: np.ndarray[Any, Any], other: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(other.device, other.dtype).reshape(tuple(shape))
