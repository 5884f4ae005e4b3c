"""What the architectures built by transformers share: from a configuration to a module, and seeded inputs."""

from __future__ import annotations

import random
from abc import abstractmethod
from typing import Any, ClassVar

from ftax_model.architectures._base import Architecture
from ftax_model.workload import Workload

PENN_TREEBANK_MEAN, PENN_TREEBANK_SD = 20.92, 10.18


class TransformersArchitecture(Architecture):
    """A model class of transformers with random weights; subclasses say which, and how settings name its configuration.

    The module takes the inputs as keywords and returns all tensors of the model's output as a tuple.
    """

    preload = ("torch", "transformers.modeling_utils")
    config_class: ClassVar[str]
    """Name of the configuration class in transformers."""
    model_class: ClassVar[str]
    """Name of the model class in transformers."""
    attention: ClassVar[str] = "sdpa"
    """Attention implementation; ``eager`` where the model has no other."""

    @abstractmethod
    def configuration(self, workload: Workload) -> dict[str, Any]:
        """Keywords of the configuration class, for a completed workload."""

    @abstractmethod
    def inputs(self, workload: Workload, config: Any) -> dict[str, Any]:
        """Keyword inputs of the model, batch dimension first."""

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """The model in evaluation mode, and its inputs."""
        from ftax_model.architectures._modules import TensorOutputs

        model = self.model(workload)
        return TensorOutputs(model).eval(), self.inputs(workload, model.config)

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any]:
        """As the base says: a model takes any batch size."""
        return self.inputs(workload, module.model.config)

    def model(self, workload: Workload) -> Any:
        """The bare model of transformers."""
        import torch
        import transformers

        config = getattr(transformers, self.config_class)(**self.configuration(workload))
        make = getattr(transformers, self.model_class)._from_config
        return make(config, dtype=getattr(torch, workload.dtype), attn_implementation=self.attention)


class TextArchitecture(TransformersArchitecture):
    """A model that reads token ids."""

    input_unit = "tokens"
    default_input_size = 128
    lengths = ("fixed", "penn-treebank")

    def inputs(self, workload: Workload, config: Any) -> dict[str, Any]:
        """Random token ids, and a mask where sequences are padded."""
        ids = token_ids(workload, config.vocab_size)
        if workload.lengths == "fixed":
            return {"input_ids": ids}
        mask = padding_mask(workload)
        return {"input_ids": ids * mask, "attention_mask": mask}


class ImageArchitecture(TransformersArchitecture):
    """A model that reads square images with three channels."""

    family = "vision"
    input_unit = "pixels"
    default_input_size = 224

    def inputs(self, workload: Workload, config: Any) -> dict[str, Any]:
        """Random pixels of (batch, 3, size, size)."""
        return {"pixel_values": images(workload)}


def token_ids(workload: Workload, vocab_size: int) -> Any:
    """Random token ids of (batch, input size)."""
    import torch

    return torch.randint(vocab_size, (workload.batch_size, workload.input_size))


def padding_mask(workload: Workload) -> Any:
    """Ones for tokens and zeros for padding, (batch, input size); the lengths are those of `sequence_lengths`."""
    import torch

    lengths = torch.tensor(sequence_lengths(workload))
    return (torch.arange(workload.input_size) < lengths[:, None]).long()


def sequence_lengths(workload: Workload) -> list[int]:
    """Tokens in each sequence of the batch.

    For ``penn-treebank``: drawn from a normal distribution with the mean and standard deviation of its sentences, from
    1 to the input size; the same for every seed, and those of a smaller batch come first in a larger one.
    """
    size = workload.input_size or 1
    if workload.lengths == "fixed":
        return [size] * workload.batch_size
    draw = random.Random(0)
    drawn = (round(draw.gauss(PENN_TREEBANK_MEAN, PENN_TREEBANK_SD)) for _ in range(workload.batch_size))
    return [min(max(length, 1), size) for length in drawn]


def images(workload: Workload) -> Any:
    """Random pixels of (batch, 3, input size, input size)."""
    import torch

    shape = (workload.batch_size, 3, workload.input_size, workload.input_size)
    return torch.randn(shape, dtype=getattr(torch, workload.dtype))
