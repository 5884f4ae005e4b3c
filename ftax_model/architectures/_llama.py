"""What the prefill and the decode step of a Llama share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ftax_model.architectures._base import divides
from ftax_model.architectures._transformers import MIDDLE, SMALL, TextArchitecture
from ftax_model.errors import InputError

LLAMA_SMALL = {**SMALL, "num_kv_heads": 1}
LLAMA_MIDDLE = {**MIDDLE, "num_kv_heads": 4, "num_heads": 8}


class LlamaArchitecture(TextArchitecture):
    """Llama (Touvron et al., 2023): rotary positions, gated layers, ``num_kv_heads`` heads of keys and values."""

    family = "generation"
    lengths = ("fixed",)
    config_class, model_class = "LlamaConfig", "LlamaForCausalLM"
    keywords = {
        **TextArchitecture.keywords,
        "num_kv_heads": "num_key_value_heads",
        "tie_embeddings": "tie_word_embeddings",
    }
    constants = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))
    positions = ("max_position_embeddings", 2048)
    defaults = {
        "num_layers": 30,
        "hidden_size": 576,
        "num_heads": 9,
        "num_kv_heads": 3,
        "intermediate_size": 1536,
        "vocab_size": 49_152,
        "tie_embeddings": True,
    }
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smollm2-135m": {},
        "smollm2-360m": {
            "num_layers": 32,
            "hidden_size": 960,
            "num_heads": 15,
            "num_kv_heads": 5,
            "intermediate_size": 2560,
        },
        "tinyllama-1.1b": {
            "num_layers": 22,
            "hidden_size": 2048,
            "num_heads": 32,
            "num_kv_heads": 4,
            "intermediate_size": 5632,
            "vocab_size": 32_000,
            "tie_embeddings": False,
        },
        "llama-3.2-1b": {
            "num_layers": 16,
            "hidden_size": 2048,
            "num_heads": 32,
            "num_kv_heads": 8,
            "intermediate_size": 8192,
            "vocab_size": 128_256,
        },
        "llama-2-7b": {
            "num_layers": 32,
            "hidden_size": 4096,
            "num_heads": 32,
            "num_kv_heads": 32,
            "intermediate_size": 11_008,
            "vocab_size": 32_000,
            "tie_embeddings": False,
        },
        "llama-3-8b": {
            "num_layers": 32,
            "hidden_size": 4096,
            "num_heads": 32,
            "num_kv_heads": 8,
            "intermediate_size": 14_336,
            "vocab_size": 128_256,
            "tie_embeddings": False,
        },
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width, heads of keys and values the heads; rotary positions take pairs."""
        super().check(settings)
        divides(settings, "num_kv_heads", "num_heads")
        size = settings["hidden_size"] // settings["num_heads"]
        if size % 2:
            raise InputError("hidden_size over num_heads is even", str(size), "change one of them")
