"""What a shell completes after Tab: names of what is here, found without importing what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from ftax_model import plugins

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _of(find: Callable[[click.Context], Iterable[str]], *, files: bool = False) -> Completer:
    """A completer of the names that ``find`` gives, and of files besides."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in sorted({*find(ctx)}) if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


def hyperparameters(architecture: str | None) -> list[str]:
    """Hyperparameters of an architecture, as options are written; none without one.

    Raises `InputError` for an unknown architecture.
    """
    from ftax_model import architectures

    defaults = architectures.load(architecture).defaults if architecture else ()
    return [f"--{name.replace('_', '-')}" for name in defaults]


def _architectures(_: click.Context) -> list[str]:
    from ftax_model import architectures

    return architectures.names()


def _frameworks(_: click.Context) -> list[str]:
    return plugins.names("ftax_model.collection.frameworks")


def _devices(_: click.Context) -> list[str]:
    from ftax_model import device

    return ["cpu", "cuda", *device.names()]


def _presets(ctx: click.Context) -> list[str]:
    from ftax_model import architectures

    asked = ctx.params.get("architecture")
    known = architectures.names()
    own = [asked] if asked in known else known
    return [preset for name in own for preset in architectures.load(name).presets]


def _datasets(_: click.Context) -> list[str]:
    from ftax_model import dataset

    return dataset.names()


def _judged(ctx: click.Context) -> list[str]:
    from ftax_model import claims

    return claims.shipped()


def _plans(_: click.Context) -> list[str]:
    return plugins.names("ftax_model.plans", suffix=".yaml")


def _predictors(ctx: click.Context) -> list[str]:
    shipped = plugins.names("ftax_model.predictors", suffix=".gz")
    return [name.removesuffix(".json") for name in shipped] if not ctx.params.get("words") else []


def _reported(ctx: click.Context) -> list[str]:
    return [*_datasets(ctx), *_predictors(ctx)]


def _checked(ctx: click.Context) -> list[str]:
    return [*_reported(ctx), *_plans(ctx)]


def _plotted(ctx: click.Context) -> list[str]:
    return _reported(ctx) if ctx.params.get("words") else plugins.names("ftax_model.report.plots")


def _compared(ctx: click.Context) -> list[str]:
    return [name for find in (_architectures, _presets, _frameworks, _devices, _datasets) for name in find(ctx)]


architectures = _of(_architectures)
frameworks = _of(_frameworks)
devices = _of(_devices, files=True)
kinds = _of(lambda _: ["cpu", "cuda"])
presets = _of(_presets)
datasets = _of(_datasets, files=True)
judged = _of(_judged, files=True)
plans = _of(_plans, files=True)
predictors = _of(_predictors, files=True)
checked = _of(_checked, files=True)
reported = _of(_reported, files=True)
plotted = _of(_plotted, files=True)
compared = _of(_compared, files=True)
