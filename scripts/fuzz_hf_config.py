"""Configurations of transformers: built on the meta device and traced."""

from __future__ import annotations

import json
from pathlib import Path

from ftax_model.tracing import features, sources

SMALL = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS = (
    {"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 50, "hidden_act": "gelu", **SMALL},
    {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 50, "num_key_value_heads": 1,
     "rope_theta": 10000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, **SMALL},
    {"model_type": "gpt2", "n_layer": 1, "n_embd": 16, "n_head": 2, "vocab_size": 50, "n_positions": 64},
    {"model_type": "vit", "image_size": 32, "patch_size": 16, "num_channels": 3, "num_labels": 4, **SMALL},
    {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 50},
    {"model_type": "mixtral", "vocab_size": 50, "num_local_experts": 2, "num_key_value_heads": 1, **SMALL},
    {"model_type": "clip", "projection_dim": 16, "text_config": {"vocab_size": 50, **SMALL},
     "vision_config": {"image_size": 32, "patch_size": 16, **SMALL}},
    {"model_type": "detr", "backbone": "resnet50", "use_timm_backbone": False, "use_pretrained_backbone": False,
     "backbone_config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1],
                         "layer_type": "basic", "out_features": ["stage2"]},
     "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
     "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_queries": 4},
)  # fmt: skip


def seeds() -> list[bytes]:
    """Small models of text, images and both, with experts and with a backbone."""
    return [json.dumps(one).encode() for one in CONFIGS]


def dictionary() -> list[bytes]:
    """Keys that say where code or weights lie."""
    words = ("auto_map", "attn_implementation", "_attn_implementation", "quantization_config", "_name_or_path", "dtype")
    return [word.encode() for word in words]


def read(data: bytes, folder: Path) -> None:
    """Build a model and trace it at batch size 1, as a prediction does."""
    file = folder / "config.json"
    file.write_bytes(data)
    trace = sources.of_config(file).trace(1)
    features.columns(trace, itemsize=4)
    trace.memory()
