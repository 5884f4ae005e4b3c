"""A module of one's own, measured in this process: what the demo shows of a model that is in no architecture here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ftax_model.collection import environment, frameworks, timing
from ftax_model.collection.timing import Protocol
from ftax_model.device import detect


def electra() -> tuple[Any, dict[str, Any]]:
    """An ELECTRA encoder (Clark et al., 2020) of four layers with random weights, and one input of 32 tokens.

    It has what no architecture of the project has: embeddings that are narrower than its layers.
    """
    import torch
    import transformers

    from ftax_model.architectures._modules import TensorOutputs

    torch.manual_seed(0)
    config = transformers.ElectraConfig(
        vocab_size=2048,
        embedding_size=96,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=768,
    )
    model = TensorOutputs(transformers.ElectraModel(config)).eval()
    return model, {"input_ids": torch.randint(2048, (1, 32))}


def measure(
    module: Any,
    inputs: Mapping[str, Any],
    names: Iterable[str],
    batch_sizes: Iterable[int],
    *,
    threads: int = 1,
    protocol: Protocol | None = None,
) -> list[dict[str, Any]]:
    """Seconds of one call of a torch module on this CPU, by framework and batch size; what does not run is left out.

    ``inputs`` are those of one call of batch size 1; they are repeated along the first axis. Each row holds
    ``framework``, ``batch_size`` and ``latency_s``.
    """
    device, found = detect("cpu"), []
    asked = list(batch_sizes)
    for name in names:
        framework = frameworks.load(name)
        with environment.settled(threads=threads, device=device, seed=0, modules=("torch",)), framework.mode():
            for size in asked:
                own = {key: value.repeat(size, *[1] * (value.dim() - 1)) for key, value in inputs.items()}
                try:
                    call = framework.prepare(module, own, device)
                except NotImplementedError:
                    break
                seen = timing.measure(call, clock=framework.clock, protocol=protocol or Protocol(cell_s=0.5))
                found.append({"framework": name, "batch_size": size, "latency_s": seen.latency_s})
    return found
