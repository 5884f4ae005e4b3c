"""Changes: what is free and what would help, for one call of a model, each told by the predictor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ftax_model import architectures
from ftax_model.advice import variants
from ftax_model.advice.compare import crossings
from ftax_model.advice.decision import able
from ftax_model.advice.parts import parts
from ftax_model.advice.place import Place
from ftax_model.dataset import by_name
from ftax_model.errors import FtaxError
from ftax_model.modeling.estimators.law import latency
from ftax_model.modeling.judging.ratios import Ratio, ratio
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.modeling.platforms.platform import CALL
from ftax_model.modeling.predictor import SWEEP, LatencyPredictor
from ftax_model.tracing.sources import Source, find, held
from ftax_model.workload import MAX_BATCH_SIZE, Workload

FREE = 0.05
"""Share by which latency may grow with what is still free, as in the paper's recommendation."""

SURELY = 0.15
"""Share up to which the interval of what is free may reach, noise included; beyond, it is likely free."""

LITTLE = 0.3
"""Of the share of MACs that is saved, below which the share of latency that is saved with it is little."""

_TIMES = (1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
_FUSED = 3  # kinds of operators that are looked at


@dataclass(frozen=True)
class Call:
    """One call that can be measured: a model at a batch size in a framework."""

    model: Workload | Source
    batch_size: int
    framework: str


@dataclass(frozen=True)
class Claim:
    """What a change does to a call.

    ``kind`` is what is changed, ``text`` says it in words; ``before`` and ``after`` are rows of predictions, and
    ``change`` is the latency after over that before. ``calls`` are what to measure to see whether that is so.
    """

    kind: str
    text: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    change: Ratio
    calls: tuple[Call, Call] | None = None

    @property
    def change_s(self) -> tuple[float, float, float]:
        """Seconds more, below zero where it is faster, and the ends of their interval."""
        before = float(self.before["latency_s"])
        return before * (self.change.value - 1), before * (self.change.low - 1), before * (self.change.high - 1)


class Adviser:
    """Asks a predictor what changes do to one call of a model at one place.

    Parameters
    ----------
    predictor, place : who answers, and for which device.
    model : a `Workload`, or any `Source`; of the latter neither input nor width nor depth can be changed.
    framework, batch_size : of the call.

    Attributes
    ----------
    row : what is predicted of the call as it is.
    """

    def __init__(
        self, predictor: LatencyPredictor, model: Workload | Source, place: Place, *, framework: str, batch_size: int
    ) -> None:
        self._predictor, self._place = predictor, place
        self._workload = architectures.complete(model) if isinstance(model, Workload) else None
        self._source = find(model)
        self._call = Call(model, batch_size, framework)
        (self.row,) = self._predicted(self._source, [batch_size])

    def claims(self) -> list[Claim]:
        """All that can be said: first what is free, then what would help."""
        asked = (self._batch, self._input, self._width, self._frameworks, self._smaller, self._fused, self._faster)
        return [claim for one in asked for claim in one()]

    def _batch(self) -> Iterator[Claim]:
        begin = self._call.batch_size
        wanted = {begin + 1, *(math.ceil(begin * times) for times in _TIMES)}
        possible = self._source.traced([self._source.batch_size], {size for size in wanted if size <= MAX_BATCH_SIZE})
        rows = self._predicted(self._source, [size for size in sorted(possible) if size > begin])
        after = self._last_free(rows)
        if after is not None:
            more = after["batch_size"] / begin * self.row["latency_s"] / after["latency_s"]
            said = f"batch {after['batch_size']} in place of {begin}, {more:.3g} times the throughput"
            calls = self._call, Call(self._call.model, after["batch_size"], self._call.framework)
            yield self._claim("batch", self._how_free(after) + said, after, calls)

    def _input(self) -> Iterator[Claim]:
        if self._workload is None or not self._workload.input_size:
            return
        own, unit = self._workload.input_size, architectures.load(self._workload.architecture).input_unit
        sizes = dict.fromkeys(round(own * times) // 8 * 8 for times in _TIMES)
        longer = [variants.with_input_size(self._workload, size) for size in sizes if size > own]
        yield from self._grown("input", longer, lambda one: f"{one.input_size} {unit} in place of {own}")

    def _width(self) -> Iterator[Claim]:
        if self._workload is None:
            return
        wider = dict.fromkeys(variants.scaled(self._workload, times) for times in _TIMES)
        yield from self._grown("width", wider, lambda one: variants.in_words(one, variants.WIDTHS))

    def _grown(self, kind: str, models: Iterable[Workload | None], said: Any) -> Iterator[Claim]:
        """The last of ever larger models that is free, or what the first one costs."""
        rows, tried = [], []
        for model in models:
            if model is None:
                continue
            with suppress(FtaxError):  # a size that the architecture does not build
                rows += self._predicted(find(model), [self._call.batch_size])
                tried.append(model)
                if rows[-1]["latency_s"] > (1 + FREE) * self.row["latency_s"]:
                    break
        after = self._last_free(rows)
        if after is not None:
            model = tried[rows.index(after)]
            yield self._of_model(kind, self._how_free(after) + said(model), model, after)

    def _last_free(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """The last row before the first that is not free, or the first one."""
        free = list(itertools.takewhile(self._is_free, rows))
        return free[-1] if free else (rows[0] if rows else None)

    def _is_free(self, row: Mapping[str, Any]) -> bool:
        return bool(row["latency_s"] <= (1 + FREE) * self.row["latency_s"])

    def _how_free(self, row: Mapping[str, Any]) -> str:
        """What to say of a change in so many words: free for sure, likely, or not."""
        if not self._is_free(row):
            return "not free: "
        return "free: " if ratio(row, self.row).high <= 1 + SURELY else "likely free: "

    def _frameworks(self) -> Iterator[Claim]:
        """What each other framework takes, and from which batch size on the order is another."""
        size, own = self._call.batch_size, self._call.framework
        sizes = sorted(self._source.traced([size], SWEEP))
        asked = {"batch_sizes": sizes, "crossovers": False, **self._place.asked}
        found = able(self._source, self._predictor.predict(self._source, **asked))
        curves = {
            str(name): {row["batch_size"]: row for row in by_name(part)} for name, part in found.groupby("framework")
        }
        for name, curve in sorted(curves.items(), key=lambda one: float(one[1][size]["latency_s"])):
            if name == own:
                continue
            ratios = {at: row["latency_s"] / curves[own][at]["latency_s"] for at, row in curve.items()}
            later = [at for at in crossings(ratios) if at > size]
            ahead = own if ratios[size] < 1 else name
            turn = f"; {ahead} is faster from batch {math.ceil(later[0])} on" if later else ""
            after = curve[size]
            calls = self._call, Call(self._call.model, size, name)
            yield self._claim("framework", f"{name} in place of {own}{turn}", after, calls)

    def _smaller(self) -> Iterator[Claim]:
        """A layer fewer, half the width, and whether fewer MACs help at all."""
        if self._workload is None:
            return
        shallower = variants.a_layer_fewer(self._workload)
        if shallower is not None:
            after = self._predicted(find(shallower), [self._call.batch_size])[0]
            yield self._of_model(
                "layer", f"one layer fewer: {variants.in_words(shallower, variants.DEPTHS)}", shallower, after
            )
        narrower = variants.scaled(self._workload, 0.5)
        if narrower is not None:
            after = self._predicted(find(narrower), [self._call.batch_size])[0]
            claim = self._of_model(
                "width", f"half the width: {variants.in_words(narrower, variants.WIDTHS)}", narrower, after
            )
            yield claim
            sizes = [find(one).trace(self._call.batch_size).features()["macs"] for one in (narrower, self._workload)]
            macs = sizes[0] / max(sizes[1], 1.0)
            if 1 - claim.change.value < LITTLE * (1 - macs):
                said = f"fewer MACs will not help here: {macs:.0%} of them take {claim.change.value:.0%} of the time"
                yield self._of_model("macs", said, narrower, after)

    def _fused(self) -> Iterator[Claim]:
        """What operators without MACs would save if each were part of its neighbour, the dearest kinds of them."""
        trace, size = self._source.trace(self._call.batch_size), self._call.batch_size
        computing = {one.kind for one in trace.operators if one.macs}
        told = parts(self._predictor, self._source, self._place, framework=self._call.framework, batch_size=size)
        for kind in [name for name in told.kinds["name"] if name not in computing | {CALL}][:_FUSED]:
            count = sum(one.kind == kind for one in trace.operators)
            fused = {size: variants.without(trace, kind)}
            source = Source(self._source.label, size, self._source.dtype, partial(held, self._source.label, fused))
            after = self._predicted(source, [size])[0]
            yield self._claim("fusion", f"{kind} ({count} operators) fused into what comes before, at most", after)

    def _faster(self) -> Iterator[Claim]:
        """A host and a device twice as fast."""
        (fit,) = self._predictor.select(framework=self._call.framework, dtype=self._source.dtype, **self._place.asked)
        p = fit.model.overlap_ if fit.model is not None else fit.law.overlap_
        host_s, device_s = float(self.row["host_s"]), float(self.row["device_s"])
        on_gpu = kind_of(self._place.device) == "cuda"
        words = ("a host twice as fast", "a GPU twice as fast") if on_gpu else ("half the overhead", "half the compute")
        for text, (host, device) in zip(words, ((host_s / 2, device_s), (host_s, device_s / 2)), strict=True):
            times = float(latency(host, device, p)) / float(latency(host_s, device_s, p))
            after = {**self.row, **{name: times * self.row[name] for name in ("latency_s", "low_s", "high_s")}}
            yield self._claim("host" if host < host_s else "device", text, after)

    def _predicted(self, source: Source, sizes: Sequence[int]) -> list[dict[str, Any]]:
        """A row for each batch size, in the call's framework."""
        if not sizes:
            return []
        asked = {"framework": self._call.framework, "crossovers": False, **self._place.asked}
        return by_name(self._predictor.predict(source, batch_sizes=sizes, **asked))

    def _of_model(self, kind: str, text: str, model: Workload, after: Mapping[str, Any]) -> Claim:
        return self._claim(kind, text, after, (self._call, Call(model, self._call.batch_size, self._call.framework)))

    def _claim(self, kind: str, text: str, after: Mapping[str, Any], calls: tuple[Call, Call] | None = None) -> Claim:
        return Claim(kind, text, self.row, after, ratio(after, self.row), calls)
