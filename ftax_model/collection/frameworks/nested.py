"""Nested: a padded batch as a nested tensor through torch's fused encoder layers, which skip the padding."""

from __future__ import annotations

import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ftax_model import architectures
from ftax_model.collection.frameworks._torch import TorchFramework, check_alike, tensors
from ftax_model.device import Device
from ftax_model.workload import Workload

LAYER = ("Linear", "Linear", "Linear", "Linear", "LayerNorm", "Linear", "Linear", "LayerNorm")
"""Parts with weights of an encoder layer: query, key, value, output, norm, two of the feed-forward network, norm."""


class Nested(TorchFramework):
    """The layers of a BERT-like encoder exchanged for a `torch.nn.TransformerEncoder` with the same weights.

    That one drops the padding before the first layer and puts zeros in its place behind the last; the rest of the
    module stays as it is. The exchange is checked: outputs at tokens are the module's own.
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._exchanged: Any = None
        self._reasons: dict[Workload, str | None] = {}

    def supports(self, workload: Workload, device: Device) -> str | None:
        """As the base says, and sequences are padded, and layers are those of BERT."""
        reason = super().supports(workload, device)
        if reason is None and workload.lengths == "fixed":
            reason = "without padding there is none to skip"
        return reason or self._without_layers(workload)

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """The module with its layers exchanged and its inputs bound.

        Raises `NotImplementedError` where there are no such layers, or others with the same weights.
        """
        if self._model is not model:
            self._exchanged, self._model = _exchanged(model), model
        call = functools.partial(self._exchanged, **inputs)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The PyTorch API of nested tensors", UserWarning)  # once in a process
            check_alike(tensors(call()), tensors(model(**inputs)), model, inputs)
        return call

    def _without_layers(self, workload: Workload) -> str | None:
        model = architectures.complete(workload).curve
        if model not in self._reasons:
            import torch

            with torch.device("meta"):
                module, _ = architectures.load(model.architecture).build(model)
            self._reasons[model] = None if _stack(module) else "its layers are not those of a BERT-like encoder"
        return self._reasons[model]


def _exchanged(model: Any) -> Any:
    """A copy of the module that shares its weights, but for those that the fused layers want in one piece."""
    from torch import nn

    name = _stack(model)
    if name is None:
        raise NotImplementedError("its layers are not those of a BERT-like encoder")
    shared = {id(tensor): tensor for tensor in itertools.chain(model.parameters(), model.buffers())}
    exchanged = copy.deepcopy(model, shared)
    layers = model.get_submodule(name)
    exchanged.set_submodule(name, nn.ModuleList([_masked(_encoder(layers, _heads(model)))]))
    return exchanged.eval()


def _stack(model: Any) -> str | None:
    """Path of the list of layers."""
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) and all(_kinds(layer) == LAYER for layer in module):
            return str(name)
    return None


def _parts(layer: Any) -> list[Any]:
    return [module for module in layer.modules() if any(True for _ in module.parameters(recurse=False))]


def _kinds(layer: Any) -> tuple[str, ...]:
    return tuple(type(part).__name__ for part in _parts(layer))


def _heads(model: Any) -> int:
    configs = (getattr(module, "config", None) for module in model.modules())
    for heads in (getattr(config, "num_attention_heads", None) for config in configs):
        if heads is not None:
            return int(heads)
    raise NotImplementedError("no configuration in it says how many heads it has")


def _encoder(layers: Sequence[Any], heads: int) -> Any:
    """The encoder of torch with the weights of the layers; raises `NotImplementedError` where it has no fast path."""
    import torch
    from torch import nn

    query, _, _, _, norm, inner, *_ = _parts(layers[0])
    like = nn.TransformerEncoderLayer(
        d_model=query.in_features,
        nhead=heads,
        dim_feedforward=inner.out_features,
        activation="gelu",
        layer_norm_eps=norm.eps,
        batch_first=True,
        device="meta",
        dtype=query.weight.dtype,
    )
    with warnings.catch_warnings(record=True) as why_not:
        warnings.simplefilter("always")
        encoder = nn.TransformerEncoder(like, len(layers), mask_check=False)
    if not encoder.use_nested_tensor:
        raise NotImplementedError(" ".join(str(warning.message) for warning in why_not))
    for layer, target in zip(layers, encoder.layers, strict=True):
        projections, rest = _parts(layer)[:3], _parts(layer)[3:]
        names = ("self_attn.out_proj", "norm1", "linear1", "linear2", "norm2")
        weights = {
            "self_attn.in_proj_weight": torch.cat([part.weight for part in projections]),
            "self_attn.in_proj_bias": torch.cat([part.bias for part in projections]),
            **{f"{name}.weight": part.weight for name, part in zip(names, rest, strict=True)},
            **{f"{name}.bias": part.bias for name, part in zip(names, rest, strict=True)},
        }
        target.load_state_dict(weights, assign=True)
    return encoder


def _masked(encoder: Any) -> Any:
    """The encoder as one layer that takes the mask of transformers, true where (batch, 1, query, key) attend."""
    from torch import nn

    class Masked(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
            padding = None if attention_mask is None else ~attention_mask[:, 0, 0]
            return self.encoder(states, src_key_padding_mask=padding)

    return Masked()
