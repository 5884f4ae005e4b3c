"""``ftax list``: what can be measured and predicted here."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import _complete, _options, _print


@click.command("list", short_help="Architectures, frameworks, devices, plans and datasets.")
@click.option(
    "--architecture", shell_complete=_complete.architectures, help="Show the hyperparameters and presets of this one."
)
@click.option("--support", is_flag=True, help="Show which framework runs which architecture here, and why not.")
@click.option(
    "--device", default="cpu", show_default=True, shell_complete=_complete.kinds, help="With --support: cpu or cuda."
)
@click.option(
    "--seen", shell_complete=_complete.datasets, help="With --support: a dataset whose measurements count too."
)
@_options.as_json
def command(architecture: str | None, support: bool, device: str, seen: str | None, as_json: bool) -> None:
    """List architectures, frameworks, devices, plans and datasets.

        ftax list --architecture bert

    Each name stands wherever a command takes one of its kind.
    """
    if support:
        _support(device, seen, as_json=as_json)
        return
    found = _architecture(architecture) if architecture else _everything()
    if as_json:
        _print.as_json(found)
        return
    for title, rows in found.items():
        if rows:
            _print.table(rows, dict.fromkeys(rows[0]), title=f"\n{title}")


def _support(device: str, seen: str | None, *, as_json: bool) -> None:
    """A table of architectures and frameworks; where one does not run the other, the number of the reason below."""
    from ftax_model import dataset
    from ftax_model.collection.support import support
    from ftax_model.device import detect

    found = support(detect(device), seen=dataset.read(dataset.find(seen)) if seen else ())
    if as_json:
        names = ("architecture", "framework", "reason")
        _print.as_json([dict(zip(names, (*pair, reason), strict=True)) for pair, reason in found.items()])
        return
    reasons = list(dict.fromkeys(reason for reason in found.values() if reason))
    rows: dict[str, dict[str, str]] = {}
    for (architecture, framework), reason in found.items():
        row = rows.setdefault(architecture, {"architecture": architecture})
        row[framework] = str(reasons.index(reason) + 1) if reason else "yes"
    _print.table(list(rows.values()), dict.fromkeys(next(iter(rows.values()))))
    for number, reason in enumerate(reasons, start=1):
        _print.say(f"{number}: {reason}")


def _everything() -> dict[str, list[dict[str, Any]]]:
    from ftax_model import architectures, dataset, device
    from ftax_model.collection import frameworks, plan
    from ftax_model.modeling.platforms import mine
    from ftax_model.modeling.predictor import shipped

    built = [architectures.load(name) for name in architectures.names()]
    return {
        "architectures": [
            {"name": name, "family": one.family, "input": f"{one.default_input_size} {one.input_unit}"}
            | {"presets": ", ".join(one.presets)}
            for name, one in zip(architectures.names(), built, strict=True)
        ],
        "frameworks": [{"name": name, "here": _here(name)} for name in frameworks.names()],
        "devices": [{"name": name, "source": device.specification(name)["source"]} for name in device.names()],
        "plans": [{"name": name, "description": plan.load_plan(name).description} for name in plan.names()],
        "datasets": [{"name": name} for name in dataset.names()],
        "predictors": [{"name": name} for name in shipped()],
        "calibrations": [
            {"device": one.device, "calibrated_at": one.calibrated_at, "stale": one.stale} for one in mine.kept()
        ],
    }


def _architecture(name: str) -> dict[str, list[dict[str, Any]]]:
    from ftax_model import architectures

    one = architectures.load(name)
    return {
        f"hyperparameters of {name}": [{"name": key, "default": value} for key, value in one.defaults.items()],
        f"presets of {name}": [
            {"name": preset, "sets": ", ".join(f"{key}={value}" for key, value in own.items()) or "the defaults"}
            for preset, own in one.presets.items()
        ],
    }


def _here(name: str) -> str:
    from ftax_model.collection import frameworks
    from ftax_model.errors import MissingError

    try:
        return frameworks.load(name).version()
    except MissingError as error:
        return f"not installed: {error.law}"
