"""``ftax demo``: measure this machine, calibrate, and show the truth about its framework tax."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftax_model.cli import _complete, _options, _print

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.modeling.predictor import LatencyPredictor


@click.command("demo", short_help="Measure this machine for three minutes and show its framework tax.")
@click.option("--plan", default="demo", show_default=True, shell_complete=_complete.plans, help="What to measure.")
@_options.kind_of_device
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True)
@click.option("--budget", default="150s", show_default=True, help="Longest time to measure.")
@_options.without_device
@_options.as_json
def command(plan: str, device: str, folder: Path, budget: str, without: str | None, as_json: bool) -> None:
    """Measure real models on this machine, calibrate the predictor that ships, and show what it says beside the truth.

        ftax demo --budget 60s

    Each model is predicted by a calibration that saw nothing of it; one more is in no architecture of the project.
    Writes measurements.jsonl, model.json.gz and curves.png into FOLDER, and keeps the calibration as this machine's
    own. Run again, it goes on with what is there; remove the folder to measure afresh.
    """
    import pandas as pd

    from ftax_model.cli import _show
    from ftax_model.collection.plan import load_plan
    from ftax_model.dataset import load_dataset
    from ftax_model.device import detect
    from ftax_model.errors import DataError
    from ftax_model.modeling.judging import evaluation
    from ftax_model.modeling.platforms import mine
    from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
    from ftax_model.proxies import proxies
    from ftax_model.report import curves

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("the output can be written", f"{folder}: {error.strerror}", "choose another folder") from error
    here = detect(device)
    measured = folder / "measurements.jsonl"
    _show.collect(load_plan(plan), measured, device=device, budget_s=_options.duration(budget))
    table = load_dataset(measured)
    known = LatencyPredictor.load(SHIPPED)
    known = _options.without(known, without)
    with _print.working("calibrating, once for each model that is held out"):
        predictor = known.calibrate(table)
        predictor.about_ = {**mine.about(here), "device": predictor.fits_[0].platform.device}
        predictor.save(folder / "model.json.gz")
        left_out = evaluation.hold_out(table, known=known)
    left_out = left_out.assign(regime=_regimes(left_out, predictor))
    whole = left_out[left_out["family"] != "block"] if (left_out["family"] != "block").any() else left_out
    every = evaluation.summary(whole, by=["framework"]).assign(regime="all")
    figures = pd.concat([evaluation.summary(whole), every], ignore_index=True)
    sweeps = evaluation.sweeps(table, predictor).dropna(subset="crossover_batch_size")
    correlations = proxies(table, predictor=predictor)
    picture = curves.predicted(whole, folder / "curves.png")
    other = _outside(predictor, whole["framework"].unique()) if here.kind == "cpu" else pd.DataFrame()
    if as_json:
        result: dict[str, Any] = {
            "platforms": [fit.constants() for fit in predictor.fits_],
            "workloads": _print.records(sweeps),
            "held_out": _print.records(whole),
            "errors": _print.records(figures),
            "outside": _print.records(other),
            "proxies": _show.judged(correlations),
            "picture": str(picture),
        }
        _print.as_json(result)
        return
    _print.say("\n1. What each framework costs here\n")
    _show.fits(predictor, as_json=False)
    if len(sweeps):
        _print.say(
            "\n2. Each workload: measured latency at batch 1, regime, crossover batch size with its 90 % interval\n"
        )
        _show.sweeps(sweeps)
    _print.say("\n3. Held-out truth: each model predicted by a calibration that never saw it\n")
    _show.held_out(whole, figures)
    if len(other):
        _print.say("\n4. A model that is in no architecture here: an ELECTRA encoder, four layers of 192, 32 tokens\n")
        _show.measured(other, asked=len(other))
    _print.say("\n5. Proxies\n")
    _show.proxies(correlations, as_json=False)
    _print.say(f"\n6. The picture: {picture}")
    _print.say(f"   Measurements: {measured}. {_keep(predictor, here.name, plan)}")


def _regimes(rows: pd.DataFrame, predictor: LatencyPredictor) -> pd.Series[Any]:
    """The regimes of measured rows, as the tables of workloads and of proxies have them."""
    from ftax_model.modeling.judging import regimes

    names = ["host_s", "constant_s", "regime"]
    return regimes.measured(rows, predictor.predict_frame(rows)[names], regimes.sweeps(rows))


def _outside(predictor: LatencyPredictor, frameworks: Any) -> pd.DataFrame:
    """A module that no architecture builds, measured and predicted."""
    import pandas as pd

    from ftax_model import outside
    from ftax_model.collection.runner import measure
    from ftax_model.modeling.judging.beside import beside

    names = sorted({str(name) for name in frameworks} & {"eager", "torchscript", "onnxruntime"})
    if not names:
        return pd.DataFrame()
    electra = outside.workload("module", "ftax_model.collection.electra:electra")
    found = measure([electra.with_batch_size(size) for size in (1, 8)], names, trust=True)  # it is the project's own
    return beside(found, predictor, trust=True)


def _keep(predictor: LatencyPredictor, device: str, plan: str) -> str:
    """Keep the calibration as this machine's own, if there is none yet that knows more; says what came of it."""
    from ftax_model.errors import DataError
    from ftax_model.modeling.platforms import mine

    if plan != "demo":
        return ""
    own = mine.predictor_file(device)
    if own.exists():
        return f"This machine's own predictor is {own}"
    try:
        mine.prepared()
        predictor.save(own)
    except DataError as error:
        return f"It could not be kept as this machine's own: {error}"
    return "Ask for any other model: ftax predict --help"
