"""What the architectures built by transformers share: from a configuration to a module, and seeded inputs."""

from __future__ import annotations

import operator
import random
from collections.abc import Mapping
from typing import Any, ClassVar

from ftax_model.architectures._base import divides
from ftax_model.architectures._torch import TorchArchitecture, images, input_size
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid

PENN_TREEBANK_MEAN, PENN_TREEBANK_SD = 20.92, 10.18


SMALL = {"num_layers": 2, "hidden_size": 128, "num_heads": 2, "intermediate_size": 512, "vocab_size": 1024}
MIDDLE = {"num_layers": 4, "hidden_size": 256, "num_heads": 4, "intermediate_size": 1024, "vocab_size": 1024}
"""Sizes of the workloads in the grid of a text model."""


class TransformersArchitecture(TorchArchitecture):
    """A model class of transformers with random weights; subclasses say which, and how settings name its configuration.

    Attention is that of torch (SDPA) where the model can take it. The module takes the inputs as keywords and returns
    all tensors of the model's output as a tuple.
    """

    preload = ("torch", "transformers.modeling_utils")
    config_class: ClassVar[str]
    """Name of its configuration class."""
    model_class: ClassVar[str]
    """Path of the model class in transformers."""
    keywords: ClassVar[Mapping[str, str]] = {"num_layers": "num_hidden_layers", "num_heads": "num_attention_heads"}
    """Keywords of the configuration class for hyperparameters of another name."""
    constants: ClassVar[Mapping[str, Any]] = {}
    """Keywords of the configuration class that are no hyperparameters."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width, unless their size is a hyperparameter of its own."""
        if {"num_heads", "hidden_size"} <= settings.keys() and "head_size" not in settings:
            divides(settings, "num_heads", "hidden_size")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """Keywords of the configuration class, for a completed workload."""
        own = {self.keywords.get(name, name): value for name, value in workload.settings.items()}
        return {**own, **self.constants}

    def module(self, workload: Workload) -> Any:
        """The model, its output a tuple of tensors."""
        from ftax_model.architectures._modules import TensorOutputs

        return TensorOutputs(self.model(workload))

    def model(self, workload: Workload) -> Any:
        """The bare model of transformers."""
        import torch
        import transformers

        config = getattr(transformers, self.config_class)(**self.configuration(workload))
        model_class = operator.attrgetter(self.model_class)(transformers)
        model = model_class._from_config(config, dtype=getattr(torch, workload.dtype))
        model.loss_function = None  # a trace of the module reads it, and transformers warns where it finds none
        return model


class TextArchitecture(TransformersArchitecture):
    """A model that reads token ids."""

    input_unit = "tokens"
    default_input_size = 128
    lengths: ClassVar[tuple[str, ...]] = ("fixed", "penn-treebank")
    positions: ClassVar[tuple[str, int]] = ("max_position_embeddings", 512)
    """Keyword of the configuration class for the size of the position table, and its least value."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """As the base says, and a vocabulary holds the special tokens."""
        super().check(settings)
        if settings["vocab_size"] < 4:
            raise InputError("vocab_size is at least 4", str(settings["vocab_size"]), "take a larger one")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, and the position table grows with the input."""
        keyword, least = self.positions
        return super().configuration(workload) | {keyword: max(least, input_size(workload))}

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random token ids, and a mask where sequences are padded."""
        ids = token_ids(workload)
        if workload.lengths == "fixed":
            return {"input_ids": ids}
        mask = padding_mask(workload)
        return {"input_ids": ids * mask, "attention_mask": mask}


class ImageArchitecture(TransformersArchitecture):
    """A classifier that reads square images with three channels; ``num_classes`` is always a hyperparameter."""

    family = "vision"
    input_unit = "pixels"
    default_input_size = 224
    keywords = {**TransformersArchitecture.keywords, "num_classes": "num_labels"}

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, for images of the input size."""
        return super().configuration(workload) | {"image_size": workload.input_size}

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random pixels of (batch, 3, size, size)."""
        return {"pixel_values": images(workload)}


def text_grid(
    name: str, small: Mapping[str, Any] = SMALL, middle: Mapping[str, Any] = MIDDLE, *, lengths: str = "penn-treebank"
) -> list[Workload]:
    """Workloads of the text architecture ``name``, small to middle, short and long; one batch in ``lengths``."""
    return [
        *grid(name, **small, input_size=[16, 128]),
        *grid(name, **small, input_size=64, batch_size=4, lengths=lengths),
        *grid(name, **middle, input_size=[64, 128]),
    ]


def token_ids(workload: Workload) -> Any:
    """Random token ids of (batch, input size)."""
    import torch

    return torch.randint(workload.settings["vocab_size"], (workload.batch_size, input_size(workload)))


def padding_mask(workload: Workload) -> Any:
    """Ones for tokens and zeros for padding, (batch, input size); the lengths are those of `sequence_lengths`."""
    import torch

    lengths = torch.tensor(sequence_lengths(workload))
    return (torch.arange(input_size(workload)) < lengths[:, None]).long()


def sequence_lengths(workload: Workload) -> list[int]:
    """Tokens in each sequence of the batch.

    For ``penn-treebank``: drawn from a normal distribution with the mean and standard deviation of its sentences, from
    1 to the input size; the same for every seed, and those of a smaller batch come first in a larger one.
    """
    size = input_size(workload)
    if workload.lengths == "fixed":
        return [size] * workload.batch_size
    draw = random.Random(0)
    drawn = (round(draw.gauss(PENN_TREEBANK_MEAN, PENN_TREEBANK_SD)) for _ in range(workload.batch_size))
    return [min(max(length, 1), size) for length in drawn]
