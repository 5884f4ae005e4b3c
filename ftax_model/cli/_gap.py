"""What ``ftax explain-gap`` is asked: a call and what was measured of it, from options or from a file of records."""

from __future__ import annotations

from typing import Any

from ftax_model.advice.gap import Gap, explain, state_of_this_machine
from ftax_model.advice.place import Place, place
from ftax_model.cli import _options
from ftax_model.device import detect
from ftax_model.errors import DataError, InputError


def of(words: tuple[str, ...], asked: dict[str, Any], *, latency_s: float | None, measured: str | None) -> Gap:
    """The gap that the options speak of; raises `InputError` where they name none, or two."""
    if (latency_s is None) == (measured is None):
        got = "both" if latency_s is not None else "neither"
        raise InputError("a gap is that of --latency or of --measured", got, "give one of them")
    if measured is not None:
        return _of_records(words, asked, measured)
    assert latency_s is not None
    question = _options.question(words, asked)
    _, size = question.one()
    (source,) = question.models
    if question.framework is None:
        raise InputError("a latency was measured in a framework", "none", "name it: --framework eager")
    where = place(question.predictor, dtype=source.dtype, **question.place)
    call: dict[str, Any] = {"framework": question.framework, "batch_size": size, "measured_s": latency_s}
    return explain(question.predictor, source, where, findings=_findings(where), **call)


def _of_records(words: tuple[str, ...], asked: dict[str, Any], measured: str) -> Gap:
    """The gap of the record that lies farthest from its prediction, in half widths of the interval."""
    import numpy as np

    from ftax_model import dataset
    from ftax_model.modeling.judging.beside import beside, of_record

    records = [one for one in dataset.read(dataset.find(measured)) if one.status == "ok"]
    if not records:
        raise DataError("a gap is that of a good record", f"none in {measured}", "measure again: ftax measure")
    question = _options.unasked(
        words[0] if words else None, {**asked, "device": asked["device"] or records[0].cell.device}
    )
    told = beside(records, question.predictor, trust=asked["trust"])
    widths = np.log(told["high_s"] / told["low_s"])
    apart = np.asarray(np.abs(np.log(told["latency_s"] / told["predicted_s"])) / widths, dtype=float)
    if np.isnan(apart).all():
        raise DataError("records are explained that can be predicted", told["notes"].iloc[0], "name a predictor")
    record = records[int(np.nanargmax(apart))]
    source = of_record(record.cell.workload.curve, trust=asked["trust"])
    where = Place(record.cell.device, record.cell.threads)
    cell = record.cell
    call: dict[str, Any] = {
        "framework": cell.framework,
        "batch_size": cell.workload.batch_size,
        "measured_s": record.latency_s,
    }
    return explain(question.predictor, source, where, record=record, findings=_findings(where), **call)


def _findings(where: Place) -> list[Any]:
    return state_of_this_machine() if where.device == detect("cpu").name else []
