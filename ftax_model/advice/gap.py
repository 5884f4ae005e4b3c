"""Gap: why a measured latency is not the predicted one; likely causes first, each with what would settle it.

Causes come from the record of the measurement (what it says of threads, versions, load, clocks, attention), from what
the predictor itself is unsure of, from what it says of other settings that take as long as was measured, and from the
state of this machine.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ftax_model.advice.place import Place
from ftax_model.collection import doctor
from ftax_model.dataset import by_name
from ftax_model.errors import FtaxError
from ftax_model.measurement import Measurement, in_threads
from ftax_model.modeling.platforms.platform import JOINT
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.operators import Trace
from ftax_model.tracing.sources import Source
from ftax_model.workload import DTYPES

LEVELS = ("likely", "possible", "unlikely")

_CLOSED = 0.5  # of a gap, what a setting leaves that is no unlikely cause of it

SLOWER = {
    "wide-spread": "its blocks differ widely, so that the machine was not at rest",
    "foreign-load": "other processes used the machine",
    "throttled": "the device lowered its clock",
    "clock-setback": "the clock was set back while it ran",
    "subnormal-activations": "subnormal numbers, which cost a CPU a hundred cycles each",
    "nan-activations": "activations that are not numbers",
    "infinite-activations": "activations that are infinite",
    "short-block": "its blocks are so short that the clock shows in them",
}
"""What the warnings of a measurement say that make it long."""


@dataclass(frozen=True)
class Cause:
    """A reason for a gap: its ``level`` (`LEVELS`), what speaks for it, and the command that would settle it.

    ``latency_s`` is what is predicted if it is so; ``None`` where that cannot be told.
    """

    name: str
    level: str
    evidence: str
    command: str
    latency_s: float | None = None


@dataclass(frozen=True)
class Gap:
    """A measured latency beside the row that is predicted, and the causes that there may be."""

    measured_s: float
    predicted: Mapping[str, Any]
    causes: Sequence[Cause]

    @property
    def inside(self) -> bool:
        """Whether the measured latency lies in the interval of the prediction."""
        return bool(self.predicted["low_s"] <= self.measured_s <= self.predicted["high_s"])


def explain(
    predictor: LatencyPredictor,
    source: Source,
    place: Place,
    *,
    framework: str,
    batch_size: int,
    measured_s: float,
    record: Measurement | None = None,
    findings: Iterable[Cause] = (),
) -> Gap:
    """Causes for a latency of ``measured_s``, likely ones first; ``findings`` are what was seen of this machine.

    Raises what `LatencyPredictor.predict` raises.
    """
    asked = _Asked(predictor, source, place, framework, batch_size)
    predicted = asked.row()
    causes = [
        *(_of_record(record, predictor) if record is not None else ()),
        *findings,
        *_of_prediction(predicted),
        *_of_settings(asked, predicted, measured_s),
    ]
    return Gap(measured_s, predicted, sorted(causes, key=lambda one: LEVELS.index(one.level)))


def state_of_this_machine() -> list[Cause]:
    """What ``ftax doctor`` finds wrong with this machine now."""
    levels = {"bad": "likely", "warning": "possible"}
    return [
        Cause(one.name, levels[one.level], f"now: {one.saw}", one.do)
        for one in doctor.examine()
        if one.level in levels and one.name != "turbo"
    ]


@dataclass(frozen=True)
class _Asked:
    predictor: LatencyPredictor
    source: Source
    place: Place
    framework: str
    batch_size: int

    def row(self) -> dict[str, Any]:
        """What is predicted."""
        found = self.predictor.predict(
            self.source,
            batch_sizes=[self.batch_size],
            framework=self.framework,
            crossovers=False,
            **self.place.asked,
        )
        return by_name(found)[0]


def _of_record(record: Measurement, predictor: LatencyPredictor) -> Iterator[Cause]:
    """What the record holds against itself, and where it was made otherwise than what the predictor learnt from."""
    again = "measure it again, alone on the machine: ftax measure, after ftax doctor"
    for warning in record.warnings():
        if warning in SLOWER:
            yield Cause("the measurement", "likely", SLOWER[warning], again)
    environment = record.environment
    torch = environment.get("torch") or {}
    threads = torch.get("threads")
    if threads is not None and threads != record.cell.threads:
        said = f"torch ran {threads} threads where the record says {record.cell.threads}"
        yield Cause("threads", "likely", said, f"torch.set_num_threads({record.cell.threads}), and measure again")
    affinity = environment.get("affinity")
    if affinity is not None and len(affinity) < record.cell.threads:
        said = f"{record.cell.threads} threads on {len(affinity)} of the CPUs"
        yield Cause("threads", "likely", said, "give it the CPUs: taskset --cpu-list")
    attention = torch.get("attention")
    if attention not in (None, "sdpa"):
        said = f"attention is {attention}, predicted is sdpa"
        yield Cause("attention", "likely", said, 'load the model with attn_implementation="sdpa", and measure again')
    if torch.get("mkldnn") is False:
        yield Cause("libraries", "likely", "oneDNN is off", "torch.backends.mkldnn.enabled = True, and measure again")
    known = predictor.about_.get("versions", {})
    for name, version in environment.get("versions", {}).items():
        before = known.get(name)
        if before is not None and str(before).split("+")[0] != str(version).split("+")[0]:
            said = f"{name} {version}, and the predictor was calibrated with {before}"
            yield Cause("versions", "possible", said, "ftax calibrate")
    governor = environment.get("governor")
    if governor not in (None, "performance"):
        said = f"the governor was {governor}: short calls ran at a low frequency"
        yield Cause("clocks", "possible", said, "sudo cpupower frequency-set --governor performance, and measure again")


def _of_prediction(predicted: Mapping[str, Any]) -> Iterator[Cause]:
    """What the predictor notes of its own answer."""
    for note in filter(None, str(predicted["notes"]).split(JOINT)):
        known = any(word in note for word in ("by its data sheet", "never measured", "host unknown", "by others"))
        cure = "ftax calibrate" if known else "ftax measure --save, then ftax calibrate"
        yield Cause("the prediction", "possible", note, cure)


def _of_settings(asked: _Asked, predicted: Mapping[str, Any], measured_s: float) -> Iterator[Cause]:
    """Other settings that bring the prediction nearer to what was measured: likely ones by half of the gap or more."""
    gap = abs(math.log(measured_s / predicted["latency_s"]))
    for name, said, command, other in _others(asked):
        with suppress(FtaxError):  # a setting of which nothing is known is no cause that can be told
            row = other.row()
            left = abs(math.log(measured_s / row["latency_s"])) / gap if gap else 1.0
            inside = row["low_s"] <= measured_s <= row["high_s"]
            if left < 1:
                level = "unlikely" if left > _CLOSED else "likely" if inside else "possible"
                yield Cause(name, level, said, command, float(row["latency_s"]))


def _others(asked: _Asked) -> Iterator[tuple[str, str, str, _Asked]]:
    """What may have been otherwise: threads, precision, batch size, framework."""
    place, size = asked.place, asked.batch_size
    known = {fit.platform.threads for fit in asked.predictor.fits_ if fit.platform.device == place.device}
    known |= {platform.threads for one in asked.predictor.known_.values() for platform in one.platforms}
    for threads in sorted(known - {place.threads}):
        other = dataclasses.replace(asked, place=dataclasses.replace(place, threads=threads))
        yield (
            "threads",
            f"it ran with {in_threads(threads)}, not {place.threads}",
            "print(torch.get_num_threads())",
            other,
        )
    for dtype in DTYPES:
        if dtype != asked.source.dtype:
            other = dataclasses.replace(asked, source=_in(asked.source, dtype))
            said = f"it ran in {dtype}, not {asked.source.dtype}"
            yield "precision", said, "print(next(model.parameters()).dtype)", other
    for times in (2, 4):
        said, command = f"it ran a batch of {size * times}, not {size}", "print the shapes of the inputs"
        yield "shapes", said, command, dataclasses.replace(asked, batch_size=size * times)
    frameworks = {fit.platform.framework for fit in asked.predictor.fits_} | {key[0] for key in asked.predictor.known_}
    for name in sorted((frameworks | {*asked.predictor.gpus_}) - {asked.framework}):
        said, command = f"it ran as {name} does, not as {asked.framework}", f"ftax measure --framework {name}"
        yield "framework", said, command, dataclasses.replace(asked, framework=name)


def _in(source: Source, dtype: str) -> Source:
    """The same model in another precision: as many operators, of more or fewer bytes."""
    times = DTYPES[dtype] / DTYPES[source.dtype]

    def traced(sizes: Iterable[int], more: Iterable[int]) -> dict[int, Trace]:
        return {size: _resized(trace, times) for size, trace in source.traced(sizes, more).items()}

    return dataclasses.replace(source, dtype=dtype, traced=traced)


def _resized(trace: Trace, times: float) -> Trace:
    operators = (
        dataclasses.replace(
            one, activation_bytes=int(one.activation_bytes * times), weight_bytes=int(one.weight_bytes * times)
        )
        for one in trace.operators
    )
    return dataclasses.replace(trace, operators=tuple(operators))
