"""Archives and configurations as somebody hostile would write them; each would make a file ``fired`` where it runs."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, fired: Path) -> None:
        self.fired = fired

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.fired,)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("shift", torch.ones(4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.shift


def pickled(fired: Path) -> bytes:
    """What `torch.load` reads, with a bomb in it."""
    content = io.BytesIO()
    torch.save(Bomb(fired), content)
    return content.getvalue()


def rewritten(
    source: Path, target: Path, changed: Mapping[str, bytes], more: Mapping[str, bytes] | None = None
) -> Path:
    """A copy of an archive in which the members that end so have another content, with ``more`` beside them."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for one in old.infolist():
            own = [content for end, content in changed.items() if one.filename.endswith(end)]
            new.writestr(one.filename, own[0] if own else old.read(one))
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return target


def programs(folder: Path) -> dict[str, Path]:
    """``.pt2`` files by what is hostile about them."""
    plain = folder / "plain.pt2"
    program = torch.export.export(Net(), (torch.zeros(2, 4),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, plain)
    with zipfile.ZipFile(plain) as archive:
        names = archive.namelist()
        parts = {one.rpartition("/")[2]: archive.read(one).decode(errors="replace") for one in names}
        top = names[0].partition("/")[0]
    configs = {kind: json.loads(parts[f"model_{kind}_config.json"]) for kind in ("weights", "constants")}
    first = {kind: next(iter(config["config"].values())) for kind, config in configs.items()}
    custom = json.loads(parts["model_constants_config.json"])
    next(iter(custom["config"].values())).update(path_name="opaque_obj_0", use_pickle=True, tensor_meta=None)
    found = {}
    for name in ("sample inputs", "weights", "constants", "opaque object", "expression"):
        fired, more = folder / f"{name}.fired", {}
        if name == "sample inputs":
            changed = {"sample_inputs/model.pt": pickled(fired)}
        elif name == "opaque object":
            changed = {"model_constants_config.json": json.dumps(custom).encode()}
            more = {f"{top}/data/constants/opaque_obj_0": pickle.dumps(Bomb(fired))}
        elif name == "expression":
            run = f"__import__('pathlib').Path('{fired}').touch()"
            model, count = re.subn(r"Symbol\('\w+', [^)]*\)", run, parts["model.json"])
            assert count
            changed = {"models/model.json": model.encode()}
        else:
            first[name]["use_pickle"] = True
            config = json.dumps(configs[name]).encode()
            changed = {f"/{first[name]['path_name']}": pickled(fired), f"model_{name}_config.json": config}
        found[name] = rewritten(plain, folder / f"{name}.pt2", changed, more)
    return found


class Called(nn.Module):
    """Writes a file when it is called."""

    def __init__(self, fired: str) -> None:
        super().__init__()
        self.fired = fired

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.fired)
        return x


class Loaded(Called):
    """Writes a file when it is loaded."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.fired, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.fired, self.training = state
        torch.save(self.training, self.fired)


def scripts(folder: Path) -> dict[str, Path]:
    """TorchScript files by what is hostile about them."""
    plain = folder / "plain.pt"
    torch.jit.script(Net()).save(str(plain))
    found = {}
    for name in ("data.pkl", "constants.pkl"):
        content = pickle.dumps(Bomb(folder / f"{name}.fired"), protocol=2)
        found[name] = rewritten(plain, folder / f"{name}.pt", {f"/{name}": content})
    for name, module in (("called", Called), ("loaded", Loaded)):
        found[name] = folder / f"{name}.pt"
        torch.jit.script(module(str(folder / f"{name}.fired"))).save(str(found[name]))
    return found
