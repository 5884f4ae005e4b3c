"""Architectures: one file each; the file name is the registry."""

from __future__ import annotations

from functools import cache

from ftax_model import outside, plugins
from ftax_model.architectures._base import Architecture
from ftax_model.workload import Workload

__all__ = ["Architecture", "complete", "label", "load", "names"]

LETTERS = {
    "num_layers": "L",
    "hidden_size": "H",
    "num_heads": "A",
    "intermediate_size": "F",
    "vocab_size": "V",
    "depths": "D",
    "widths": "W",
}
"""How labels write the sizes that most families share, after BERT's own naming (L-4 H-256 A-4)."""


def names() -> list[str]:
    """All architectures, sorted."""
    return plugins.names(__name__)


@cache
def load(name: str) -> Architecture:
    """The architecture of that name; raises `InputError` for a name that is not there."""
    architecture = plugins.load(__name__, name)()
    assert isinstance(architecture, Architecture)
    return architecture


def complete(workload: Workload) -> Workload:
    """The workload with every hyperparameter written out; raises `InputError` where it cannot be.

    One of a model from outside (`ftax_model.outside`) is complete.
    """
    return workload if outside.is_one(workload) else load(workload.architecture).complete(workload)


def label(workload: Workload) -> str:
    """A short name for people: the preset, or the hyperparameters that differ from the defaults, and the input.

    >>> label(Workload("bert", {"num_layers": 4, "hidden_size": 768}, input_size=32))
    'bert L4, 32 tokens'
    """
    if outside.is_one(workload):
        return outside.label(workload)
    architecture = load(workload.architecture)
    full = architecture.complete(workload)
    settings = full.settings
    preset = next(
        (name for name, own in architecture.presets.items() if {**architecture.defaults, **own} == settings), ""
    )
    order = sorted(settings, key=lambda name: list(LETTERS).index(name) if name in LETTERS else len(LETTERS))
    changed = [_setting(name, settings[name]) for name in order if settings[name] != architecture.defaults[name]]
    parts = [preset or " ".join([workload.architecture, *changed])]
    parts += (
        [f"{full.input_size} {architecture.input_unit}"] if full.input_size != architecture.default_input_size else []
    )
    parts += [full.dtype] if full.dtype != "float32" else []
    parts += [full.lengths] if full.lengths != "fixed" else []
    return ", ".join(parts)


def _setting(name: str, value: object) -> str:
    plain = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if isinstance(value, str):
        return plain
    return f"{LETTERS[name]}{plain}" if name in LETTERS else f"{name}={plain}"
