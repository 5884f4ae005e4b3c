"""Language models that fill or read a cache of keys and values; imported only while one is built."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache


class Generate(nn.Module):  # type: ignore[misc]
    """Greedy generation of a fixed number of tokens."""

    def __init__(self, model: nn.Module, num_tokens: int) -> None:
        super().__init__()
        self.model, self.num_tokens = model, num_tokens

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """New token ids (batch, number of tokens) after the prompt (batch, length)."""
        ids, cache, new = input_ids, None, []
        for _ in range(self.num_tokens):
            output = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            ids = output.logits[:, -1].argmax(-1, keepdim=True)
            new.append(ids)
        return torch.cat(new, dim=1)


class Prefill(nn.Module):  # type: ignore[misc]
    """One pass over a prompt."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of the last token (batch, vocabulary), then keys and values of each layer."""
        output = self.model(input_ids=input_ids, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1], *_flat(output.past_key_values)


class Decode(nn.Module):  # type: ignore[misc]
    """One token after those in a cache."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, **cache: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits (batch, vocabulary), then the longer keys and values of each layer.

        ``input_ids`` is (batch, 1); the cache is ``key_0``, ``value_0``, ``key_1`` and so on, each
        (batch, heads, length, head size).
        """
        layers = range(len(cache) // 2)
        given = DynamicCache([(cache[f"key_{layer}"], cache[f"value_{layer}"]) for layer in layers])
        output = self.model(input_ids=input_ids, past_key_values=given, use_cache=True)
        return output.logits[:, -1], *_flat(output.past_key_values)


def _flat(cache: Any) -> list[torch.Tensor]:
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
