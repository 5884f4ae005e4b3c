"""``ftax calibrate``: measure this machine for a minute, and make a fitted predictor its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftax_model.cli import _complete, _options, _print

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.device import Device
    from ftax_model.modeling.predictor import LatencyPredictor


@click.command("calibrate", short_help="Make a predictor this machine's own in about a minute.")
@click.argument("model", required=False, shell_complete=_complete.predictors)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Keep it here, not in the data folder.")
@_options.kind_of_device
@click.option(
    "--plan", shell_complete=_complete.plans, help="What to measure.  [default: calibrate, of a GPU calibrate-gpu]"
)
@click.option("--threads", default=None, help="Threads to measure with: 1,4. Else one, and all physical cores.")
@click.option("--budget", default="60s", show_default=True, help="Longest time to measure.")
@click.option("--add", multiple=True, help="Measurements of this machine to learn from besides; can be repeated.")
@click.option("--from", "given", multiple=True, help="Learn from these measurements; measure nothing.")
@click.option("--measured", type=click.Path(path_type=Path, dir_okay=False), help="Where to keep the measurements.")
@_options.without_device
@click.option("--forget", is_flag=True, help="Remove what is kept of this machine.")
@_options.as_json
def command(
    model: str | None,
    out: Path | None,
    device: str,
    plan: str | None,
    threads: str | None,
    budget: str,
    add: tuple[str, ...],
    given: tuple[str, ...],
    measured: Path | None,
    without: str | None,
    forget: bool,
    as_json: bool,
) -> None:
    """Measure small models on this machine, most telling first, and adapt MODEL to it (default: the one that ships).

        ftax calibrate --budget 30s --threads 1

    It stops once the error to be expected falls no more, or when the budget ends. The result is kept in the user's data
    folder, and `ftax predict` and `LatencyPredictor.load()` take it from there. Run again, it goes on measuring.
    """
    from ftax_model.cli import _show
    from ftax_model.device import detect, named
    from ftax_model.modeling.platforms import mine
    from ftax_model.modeling.platforms.known import Known
    from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor

    here = detect(device)
    if forget:
        gone = mine.forget(here.name)
        _print.say("\n".join(f"removed {path}" for path in gone) or f"nothing is kept of {here.name}")
        return
    if out is None:
        mine.prepared()
    of_gpu = here.kind == "cuda"
    known = LatencyPredictor.load(model or (PUBLISHED if of_gpu else SHIPPED))
    known = _options.without(known, without)
    table = None
    if not given:
        kept = measured or (mine.measurements_file(here.name) if out is None else _beside(out))
        chosen = plan or ("calibrate-gpu" if of_gpu else "calibrate")
        _measure(known, kept, here, plan=chosen, threads=threads, budget_s=_options.duration(budget))
        add = (str(kept), *add)
    table = _of_one_machine([*given, *add], None if out else here)
    host = named("cpu", here.host_cpu) if of_gpu else None
    with _print.working("adapting"):
        adapted = known.calibrate(table.assign(host=host) if of_gpu else table)
    gpu = str(table["device"].iloc[0])
    fits = adapted.fits_
    if of_gpu and known.gpus_:
        fits = [fit for name in table["framework"].unique() for fit in adapted.measured_on(gpu, str(name), str(host))]
        adapted.about_ = {**mine.about(here), "device": gpu, "host": host}
    else:
        adapted.about_ = {**mine.about(here), "device": fits[0].platform.device}
    target = out or mine.predictor_file(here.name)
    adapted.save(target)
    for fit in fits:
        lacking = fit.lacking()
        if lacking and isinstance(fit.known, Known) and fit.known.is_plain(fit.platform):
            count = "one cell" if fit.n_rows == 1 else f"{fit.n_rows} cells"
            said = f"{count} of {fit.platform}, none of {', '.join(lacking)}: there it is what other machines take"
            _print.say(f"note: {said}", err=True)
    _show.calibrated(fits, target, as_json=as_json)


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name.split('.')[0]}.measured.jsonl")


def _measure(
    known: LatencyPredictor, kept: Path, here: Device, *, plan: str, threads: str | None, budget_s: float | None
) -> None:
    """Collect the plan until the error to be expected falls no more, or the budget ends."""
    from ftax_model.cli import _show
    from ftax_model.collection.fingerprint import fingerprint
    from ftax_model.collection.plan import load_plan
    from ftax_model.modeling.platforms.anytime import Anytime

    asked = _options.numbers("--threads", threads) if threads else None
    chosen = fingerprint(load_plan(plan), here, asked)
    enough = None if known.gpus_ and here.kind == "cuda" else Anytime(known, kept)
    _show.collect(chosen, kept, device=here.kind, budget_s=budget_s, enough=enough)


def _of_one_machine(names: list[str], here: Device | None) -> pd.DataFrame:
    """The measurements of files, of one machine, that one where it is given, and of one version of each framework.

    Raises `DataError` where they are not, and where nothing usable is among them.
    """
    import pandas as pd

    from ftax_model import dataset
    from ftax_model.errors import DataError
    from ftax_model.modeling.platforms import mine

    law = "a calibration is of one machine"
    records = [(name, one) for name in names for one in dataset.read(dataset.find(name))]
    good = [(name, one) for name, one in records if one.status == "ok"]
    if not good:
        failed = "; ".join(sorted({f"{one.cell.framework}: {one.reason}" for _, one in records}))
        raise DataError("a calibration needs usable cells", failed or "no cell at all", "measure: ftax calibrate")
    device = here.name if here else good[0][1].cell.device
    versions: dict[str, str] = {}
    for name, one in good:
        if one.cell.device != device:
            cure = "leave that file out, or keep it apart with --out"
            raise DataError(law, f"{device}, and {one.cell.device} in {name}", cure)
        version = str(one.environment.get("framework_version", ""))
        if versions.setdefault(one.cell.framework, version) != version:
            got = f"{one.cell.framework} {versions[one.cell.framework]}, and {version} in {name}"
            raise DataError(
                "a calibration is of one version of each framework", got, "ftax calibrate --forget, and again"
            )
    lacking = sorted({one.cell.framework for _, one in records} - versions.keys())
    if lacking:
        _print.say(f"note: no usable cell of {', '.join(lacking)}", err=True)
    for label in mine.untraced(one for _, one in good):
        _print.say(f"note: no traces are kept of {label}: it tells the law alone; ftax measure --save", err=True)
    return pd.concat([dataset.frame([one for _, one in good])], ignore_index=True)
