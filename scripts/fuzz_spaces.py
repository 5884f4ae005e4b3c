"""Search spaces of strangers: their size, and a few candidates."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from ftax_model.nas import SearchSpace


def seeds() -> list[bytes]:
    own = {"description": "small", "hyperparameters": {"num_layers": {"low": 1, "high": 4}, "hidden_size": [32, 64]}}
    heads = {
        "num_layers": [1, 2], "num_heads": [1, 2], "head_size": [16, 32],
        "hidden_size": {"product": ["num_heads", "head_size"]},
        "intermediate_size": {"low": 64, "high": 256, "step": 64},
    }  # fmt: skip
    lists = {"depths": {"each": [1, 2], "count": 4}, "widths": {"entries": [[16, 32], [32, 64], [64], [128]]}}
    chain = {"widths": {"each": {"low": 8, "high": 32, "step": 8}, "count": "layers"}, "layers": [4]}
    spaces = [
        {"architecture": "mlp", "name": "one", "batch_size": [1, 8], **own},
        {"architecture": "bert", "input_size": 32, "hyperparameters": heads},
        {"architecture": "resnet", "hyperparameters": lists},
        {"architecture": "resnet", "hyperparameters": {"depths": [[1, 1, 1, 1]], **chain}},
    ]
    return [write(one).encode() for one in spaces for write in (yaml.safe_dump, json.dumps)]


def dictionary() -> list[bytes]:
    words = "architecture hyperparameters batch_size input_size dtype lengths low high step each entries count used"
    return f"{words} product join by name description preset <<: &a *a {{ [ !!python/name".encode().split()


def read(data: bytes, folder: Path) -> None:
    file = folder / "space.yaml"
    file.write_bytes(data)
    space = SearchSpace.load(file)
    repr(space)
    rows = space.sample_indices(2)
    space.encode(space.decode(rows))
    space.table(rows)
