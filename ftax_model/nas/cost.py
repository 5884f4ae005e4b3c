"""LatencyCost: a fitted predictor as the cost function of an architecture search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ftax_model.errors import InputError
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.workload import Workload

_OWN = ("batch_size", "input_size", "dtype", "lengths")


class LatencyCost:
    """Seconds of a candidate on one platform: call it with a workload, a dict, a module with inputs, or a frame.

    Parameters
    ----------
    predictor : the fitted predictor.
    framework, device, threads, dtype : of the platform; what is left out must follow from the predictor.
    batch_size : of every candidate that names none; ``None`` for its own.
    architecture : of candidates that are hyperparameters alone.
    quantile : ``None`` for the latency itself; else the latency that a share ``quantile`` of such candidates stays
        below, so that a search does not run into what is not known.
    strict : refuse candidates far outside what was measured.

    Raises `InputError` where not exactly one platform matches, and for a quantile outside of 0 to 1.

    >>> cost = LatencyCost(predictor, framework="eager", architecture="bert", batch_size=8)  # doctest: +SKIP
    >>> cost({"num_layers": 4, "hidden_size": 256, "num_heads": 4})  # doctest: +SKIP
    0.0123
    """

    def __init__(
        self,
        predictor: LatencyPredictor,
        *,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        dtype: str = "float32",
        batch_size: int | None = None,
        architecture: str | None = None,
        quantile: float | None = None,
        strict: bool = False,
    ) -> None:
        if quantile is not None and not 0 < quantile < 1:
            raise InputError("a quantile lies between 0 and 1", repr(quantile), "choose for example 0.95, or None")
        fits = predictor.select(framework=framework, device=device, threads=threads, dtype=dtype)
        if len(fits) > 1:
            got = "; ".join(str(fit.platform) for fit in fits)
            raise InputError("a cost is of one platform", got, "name framework, device and threads")
        self.platform = fits[0].platform
        self._predictor = predictor
        self._batch_size, self._architecture = batch_size, architecture
        self._quantile, self._strict = quantile, strict

    def __call__(self, candidate: Any, inputs: Mapping[str, Any] | None = None) -> Any:
        """Seconds of a call: a number, or for a frame (features and ``batch_size``) one a row.

        ``candidate`` is a `Workload`; a mapping of hyperparameters, in which ``architecture``, ``batch_size``,
        ``input_size``, ``dtype`` and ``lengths`` are the workload's own; an ``nn.Module``, with the ``inputs`` of one
        call; or a DataFrame. Raises `InputError` for what is none of these.
        """
        if isinstance(candidate, pd.DataFrame):
            return self._seconds(self._predictor.predict_frame(self._on_platform(candidate), **self._asked))
        if isinstance(candidate, Mapping):
            candidate = self._workload(candidate)
        sizes = None if self._batch_size is None else [self._batch_size]
        platform = self.platform
        predicted = self._predictor.predict(
            candidate,
            inputs,
            batch_sizes=sizes,
            framework=platform.framework,
            device=platform.device,
            threads=platform.threads,
            **self._asked,
        )
        return float(self._seconds(predicted).iloc[0])

    @property
    def _asked(self) -> dict[str, Any]:
        return {"strict": self._strict, "quantile": self._quantile, "crossovers": False}

    def _seconds(self, predicted: pd.DataFrame) -> pd.Series[float]:
        return predicted["latency_s" if self._quantile is None else "quantile_s"]

    def _workload(self, settings: Mapping[str, Any]) -> Workload:
        own = dict(settings)
        architecture = own.pop("architecture", self._architecture)
        if architecture is None:
            law, cure = "hyperparameters belong to an architecture", "name it, here or in the cost"
            raise InputError(law, ", ".join(own) or "none", cure)
        direct = {name: own.pop(name) for name in _OWN if name in own}
        return Workload(architecture, own, **{"dtype": self.platform.dtype, **direct})

    def _on_platform(self, table: pd.DataFrame) -> pd.DataFrame:
        sizes = {} if self._batch_size is None or "batch_size" in table else {"batch_size": self._batch_size}
        platform = self.platform
        return table.assign(
            **sizes,
            framework=platform.framework,
            device=platform.device,
            dtype=platform.dtype,
            threads=platform.threads,
        )
