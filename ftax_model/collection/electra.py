"""An ELECTRA encoder, as anybody's own module: what the demo measures of a model that no architecture here builds."""

from __future__ import annotations

from typing import Any

import torch
import transformers


def electra() -> tuple[Any, dict[str, Any]]:
    """An ELECTRA encoder (Clark et al., 2020) of four layers with random weights, and one input of 32 tokens.

    It has what no architecture of the project has: embeddings that are narrower than its layers.
    """
    config = transformers.ElectraConfig(
        vocab_size=2048,
        embedding_size=96,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=768,
    )
    return transformers.ElectraModel(config).eval(), {"input_ids": torch.arange(32)[None]}
