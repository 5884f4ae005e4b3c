"""HAT (Wang et al., 2020): translators of an encoder and a decoder whose layers may all differ."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from ftax_model.architectures._base import each_of, equally_many, even
from ftax_model.architectures._torch import TorchArchitecture, input_size
from ftax_model.architectures._transformers import token_ids
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid

ATTENDED = 3
"""Encoder layers, counted from the last, that a decoder layer attends to at most."""


class Hat(TorchArchitecture):
    """Encoder pass over ``input_size`` tokens, then ``num_new_tokens`` tokens one by one with a cache.

    ``encoder_*_sizes`` and ``*_heads`` have an entry for each layer; heads are together ``qkv_size`` wide, whatever the
    width. ``attended_layers`` says how many of the last encoder layers each decoder layer attends to: 1, 2 and 3 for
    -1, 1 and 2 of the authors. Source, target and output share one table of embeddings.

    ``beam_size`` sequences are decoded beside each other for each sentence, as when HAT measured latency: 30 tokens in
    and out, beam 5, with no choice between beams. There the encoder and the decoder were timed apart; this is both.
    The last three outputs of the encoder are repeated for the beams, whether they are attended to or not. Attention is
    torch's (SDPA), the parts of the encoder that a layer attends to are joined once, not at every token,
    and the next token is the most likely one, not a given one.

    Parameters of the presets, without the table, are the published ones to all digits. So are MACs within a hundredth,
    where ``beam_size`` is 1 and the product with the table is left out, as the authors do; they count twice as many
    FLOPs, with targets given all at once.
    """

    family = "generation"
    input_unit = "tokens"
    default_input_size = 30
    defaults = {
        "encoder_hidden_size": 512,
        "encoder_intermediate_sizes": (2048,) * 6,
        "encoder_heads": (8,) * 6,
        "decoder_hidden_size": 512,
        "decoder_intermediate_sizes": (2048,) * 6,
        "decoder_heads": (8,) * 6,
        "cross_heads": (8,) * 6,
        "attended_layers": (1,) * 6,
        "qkv_size": 512,
        "vocab_size": 32_768,
        "beam_size": 5,
        "num_new_tokens": 30,
    }
    presets = {
        "hat-wmt14-en-de-raspberrypi-3.5s": {
            "encoder_intermediate_sizes": (1024, 3072, 3072, 2048, 2048, 2048),
            "encoder_heads": (4, 8, 4, 4, 4, 8),
            "decoder_intermediate_sizes": (3072,),
            "decoder_heads": (8,),
            "cross_heads": (8,),
            "attended_layers": (1,),
        },
        "hat-wmt14-en-de-raspberrypi-6.0s": {
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (4, 4, 4, 8, 8, 4),
            "decoder_intermediate_sizes": (2048, 2048, 3072, 3072),
            "decoder_heads": (4, 8, 8, 4),
            "cross_heads": (4, 8, 8, 8),
            "attended_layers": (1, 1, 2, 1),
        },
        "hat-wmt14-en-de-raspberrypi-6.9s": {
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (8, 4, 8, 8, 8, 8),
            "decoder_intermediate_sizes": (2048, 2048, 3072, 3072, 2048),
            "decoder_heads": (8, 8, 8, 4, 8),
            "cross_heads": (4, 8, 8, 8, 8),
            "attended_layers": (1, 2, 2, 2, 1),
        },
        "hat-wmt14-en-de-xeon-137.9ms": {
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (4, 8, 8, 8, 8, 8),
            "decoder_intermediate_sizes": (3072,),
            "decoder_heads": (8,),
            "cross_heads": (8,),
            "attended_layers": (2,),
        },
        "hat-wmt14-en-de-xeon-450.9ms": {
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (4, 4, 8, 8, 8, 4),
            "decoder_intermediate_sizes": (3072,) * 6,
            "decoder_heads": (8, 8, 8, 4, 4, 4),
            "cross_heads": (4, 8, 8, 8, 8, 8),
            "attended_layers": (1, 2, 2, 2, 1, 1),
        },
        "hat-wmt14-en-de-titanxp-91.2ms": {
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (4, 8, 8, 4, 8, 8),
            "decoder_intermediate_sizes": (3072,) * 2,
            "decoder_heads": (8, 8),
            "cross_heads": (8, 8),
            "attended_layers": (1, 2),
        },
        "hat-wmt14-en-de-titanxp-146.7ms": {
            "encoder_hidden_size": 640,
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (4, 8, 8, 8, 4, 4),
            "decoder_hidden_size": 640,
            "decoder_intermediate_sizes": (3072,) * 3,
            "decoder_heads": (8, 8, 8),
            "cross_heads": (4, 8, 8),
            "attended_layers": (1, 2, 2),
        },
        "hat-wmt14-en-de-titanxp-208.1ms": {
            "encoder_intermediate_sizes": (3072,) * 6,
            "encoder_heads": (8, 4, 8, 8, 8, 4),
            "decoder_intermediate_sizes": (2048, 2048, 3072, 3072, 3072),
            "decoder_heads": (8, 8, 8, 4, 8),
            "cross_heads": (4, 8, 8, 8, 8),
            "attended_layers": (1, 2, 2, 2, 1),
        },
    }

    parts = (
        ("encoder_intermediate_sizes", "encoder_heads"),
        ("decoder_intermediate_sizes", "decoder_heads", "cross_heads", "attended_layers"),
    )

    def place(self, settings: Mapping[str, Any], name: str, at: int) -> Hashable | None:
        """All layers of either side are alike."""
        return name

    def check(self, settings: Mapping[str, Any]) -> None:
        """An entry for each layer, heads that divide what they share, and layers that are there to attend to."""
        equally_many(settings, "encoder_intermediate_sizes", "encoder_heads")
        for name in ("decoder_heads", "cross_heads", "attended_layers"):
            equally_many(settings, "decoder_intermediate_sizes", name)
        for name in ("encoder_heads", "decoder_heads", "cross_heads"):
            if any(settings["qkv_size"] % heads for heads in settings[name]):
                got = f"{name} {settings[name]}, qkv_size {settings['qkv_size']}"
                raise InputError(f"all {name} divide qkv_size", got, "change one of them")
        each_of(settings, "attended_layers", range(1, min(ATTENDED, len(settings["encoder_heads"])) + 1))
        even(settings, "encoder_hidden_size")
        even(settings, "decoder_hidden_size")
        if settings["vocab_size"] < ATTENDED + 1:
            raise InputError("vocab_size is at least 4", str(settings["vocab_size"]), "take a larger one")

    def module(self, workload: Workload) -> Any:
        """The translator, which takes ``input_ids`` (batch, length) and returns ids (batch times beams, new tokens)."""
        from ftax_model.architectures._translation import DecoderLayer, EncoderLayer, Translate

        settings = workload.settings
        inner, read, width = (settings[name] for name in ("qkv_size", "encoder_hidden_size", "decoder_hidden_size"))
        encoder = [
            EncoderLayer(read, inner, *sizes)
            for sizes in zip(settings["encoder_heads"], settings["encoder_intermediate_sizes"], strict=True)
        ]
        names = ("decoder_heads", "cross_heads", "decoder_intermediate_sizes", "attended_layers")
        decoder = [
            DecoderLayer(width, inner, *sizes, read=read, attended=attended)
            for *sizes, attended in zip(*(settings[name] for name in names), strict=True)
        ]
        positions = max(input_size(workload), settings["num_new_tokens"])
        return Translate(encoder, decoder, sizes=settings, positions=positions, attended=ATTENDED)

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random token ids."""
        return {"input_ids": token_ids(workload)}

    def grid(self) -> list[Workload]:
        """Few narrow layers and tokens to a model of the authors with fewer tokens."""
        small = {
            "encoder_hidden_size": 64,
            "encoder_intermediate_sizes": (128, 256),
            "encoder_heads": (2, 4),
            "decoder_hidden_size": 32,
            "decoder_intermediate_sizes": (64,),
            "decoder_heads": (2,),
            "cross_heads": (4,),
            "attended_layers": (2,),
            "qkv_size": 64,
            "vocab_size": 1024,
        }
        return [
            *grid("hat", **small, beam_size=[1, 4], num_new_tokens=2, input_size=8),
            *grid("hat", **small, num_new_tokens=8, input_size=30, batch_size=2),
            *grid("hat", preset="hat-wmt14-en-de-titanxp-91.2ms", vocab_size=1024, num_new_tokens=4),
        ]
