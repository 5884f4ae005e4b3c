"""Encoder and decoder of a translator whose layers may all differ; imported only while one is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

BEGIN = 2
"""The token that a translation begins with."""

Heads = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of (batch, heads, tokens, head size)."""


class Attention(nn.Module):  # type: ignore[misc]
    """Attention of ``heads`` that are together ``inner`` wide, whatever the widths of queries and of what they read."""

    def __init__(self, width: int, inner: int, heads: int, *, read: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, inner)
        self.read = nn.Linear(read or width, 2 * inner)
        self.output = nn.Linear(inner, width)

    def remember(self, x: torch.Tensor) -> Heads:
        """Keys and values of (batch, tokens, width)."""
        keys, values = self.read(x).chunk(2, -1)
        return self._apart(keys), self._apart(values)

    def forward(self, x: torch.Tensor, memory: Heads) -> torch.Tensor:
        """Mixed values of (batch, tokens, width), for each token of ``x``."""
        mixed = nn.functional.scaled_dot_product_attention(self._apart(self.query(x)), *memory)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _apart(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Feedforward(nn.Module):  # type: ignore[misc]
    """Two products with ReLU between, the shortcut and the norm after it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(width, inner), nn.ReLU(inplace=True), nn.Linear(inner, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        return self.norm(x + self.branch(x))


class EncoderLayer(nn.Module):  # type: ignore[misc]
    """Self-attention and a perceptron, each with its norm after the shortcut."""

    def __init__(self, width: int, inner: int, heads: int, intermediate: int) -> None:
        super().__init__()
        self.attention, self.norm = Attention(width, inner, heads), nn.LayerNorm(width)
        self.feedforward = Feedforward(width, intermediate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        return self.feedforward(self.norm(x + self.attention(x, self.attention.remember(x))))


class DecoderLayer(nn.Module):  # type: ignore[misc]
    """Attention to the tokens so far, to the last ``attended`` layers of the encoder, and a perceptron."""

    def __init__(
        self, width: int, inner: int, heads: int, cross_heads: int, intermediate: int, *, read: int, attended: int
    ) -> None:
        super().__init__()
        self.attended = attended
        self.own, self.own_norm = Attention(width, inner, heads), nn.LayerNorm(width)
        self.cross, self.cross_norm = Attention(width, inner, cross_heads, read=read), nn.LayerNorm(width)
        self.feedforward = Feedforward(width, intermediate)

    def source(self, encoded: Sequence[torch.Tensor]) -> Heads:
        """Keys and values of what it attends to, for the outputs of all encoder layers."""
        return self.cross.remember(torch.cat([*encoded[-self.attended :]], 1))

    def forward(self, x: torch.Tensor, past: Heads | None, source: Heads) -> tuple[torch.Tensor, Heads]:
        """One token (batch, 1, width) in and out, and keys and values of all so far."""
        new = self.own.remember(x)
        own = new if past is None else (torch.cat((past[0], new[0]), 2), torch.cat((past[1], new[1]), 2))
        x = self.own_norm(x + self.own(x, own))
        x = self.cross_norm(x + self.cross(x, source))
        return self.feedforward(x), own


class Translate(nn.Module):  # type: ignore[misc]
    """One pass of the encoder, and greedy decoding of a fixed number of tokens for each of some beams."""

    def __init__(
        self,
        encoder: Sequence[EncoderLayer],
        decoder: Sequence[DecoderLayer],
        *,
        sizes: Any,
        positions: int,
        attended: int,
    ) -> None:
        super().__init__()
        self.attended = attended
        self.widths = sizes["encoder_hidden_size"], sizes["decoder_hidden_size"]
        self.beams, self.num_tokens = sizes["beam_size"], sizes["num_new_tokens"]
        width = max(self.widths)
        self.table = nn.Parameter(torch.randn(sizes["vocab_size"], width) * width**-0.5)
        self.register_buffer("positions", sinusoids(positions, width), persistent=False)
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """New token ids (batch times beams, number of tokens) for a sentence (batch, length)."""
        encoded = [layer.repeat_interleave(self.beams, 0) for layer in self._encode(input_ids)]
        sources = [layer.source(encoded) for layer in self.decoder]
        caches: list[Heads | None] = [None] * len(sources)
        ids, new = input_ids.new_full((encoded[0].shape[0], 1), BEGIN), []
        for step in range(self.num_tokens):
            x = self._embed(ids, self.widths[1], step)
            for number, layer in enumerate(self.decoder):
                x, caches[number] = layer(x, caches[number], sources[number])
            logits = nn.functional.linear(x[:, -1], self.table[:, : self.widths[1]])
            ids = logits.argmax(-1, keepdim=True)
            new.append(ids)
        return torch.cat(new, 1)

    def _encode(self, ids: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the last layers, as many as a decoder layer may attend to."""
        x, outputs = self._embed(ids, self.widths[0], 0), []
        for layer in self.encoder:
            x = layer(x)
            outputs.append(x)
        return outputs[-self.attended :]

    def _embed(self, ids: torch.Tensor, width: int, begin: int) -> torch.Tensor:
        embedded = nn.functional.embedding(ids, self.table[:, :width]) * math.sqrt(width)
        return embedded + self.positions[begin : begin + ids.shape[1], :width]


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """Sines, then cosines, of (positions, width)."""
    rates = torch.exp(torch.arange(width // 2) * -(math.log(10_000) / max(1, width // 2 - 1)))
    angles = torch.arange(positions)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), 1)
