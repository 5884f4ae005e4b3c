"""A fit of a platform as arrays, which `ftax_model.modeling.compiled` can look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model.modeling.compiled import Card, Compiled, Forest
from ftax_model.modeling.estimators import kernels
from ftax_model.modeling.estimators.correction import CorrectedModel
from ftax_model.modeling.estimators.kernels import KernelModel, can_do
from ftax_model.modeling.estimators.operators import IS_TRAFFIC, SHARES, SLIGHT
from ftax_model.modeling.estimators.regime import RegimeModel
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.platforms.platform import A_PART, EXTENTS, FAR, ODD_OCTAVES, PlatformFit
from ftax_model.operators import FEATURES
from ftax_model.tracing import features
from ftax_model.tracing.kernels import COLUMNS as KERNEL_COLUMNS
from ftax_model.tracing.kernels import GROUPS


def flat(fit: PlatformFit) -> Compiled | Card:
    """The arrays of a fit."""
    return _card(fit, fit.model) if isinstance(fit.model, KernelModel) else _compiled(fit)


def _compiled(fit: PlatformFit) -> Compiled:
    model = fit.model
    assert model is None or isinstance(model, CorrectedModel)
    structure = model.structure_ if model else None
    reference = (model.reference or model.structure_) if model else None
    none = np.zeros(0)
    law, constants = _law(fit.law)
    known = fit.known.residual_scale if model and fit.known else None
    told = {name: fit.domain.get(name, (-math.inf, math.inf)) for name in (*FEATURES, *features.SHAPES)}
    for name in features.SHAPES:
        if name.partition(".")[2].removesuffix("~") not in EXTENTS:
            told[name] = (-math.inf, math.inf)
    return Compiled(
        law=law,
        constants=constants,
        costs=np.exp(structure.logs_) if structure else none,
        reference=np.exp(reference.logs_) if reference else none,
        overlap=float(structure.overlap) if structure else 1.0,
        traffic=IS_TRAFFIC.astype(float),
        member=np.array([SHARES.index(name.split(".")[0]) for name in features.SUMS]),
        part=np.array([_part(name) for name in features.DEVICE]),
        seen=(structure.seen_.to_numpy()[: len(features.HOST)] > 0).astype(np.int64) if structure else np.zeros(0, int),
        covariance=structure.covariance_ if structure is not None and structure.covariance_.any() else np.zeros((0, 0)),
        trees=forest(model.trees_ if model else ()),
        scale=forest([known] if known else ()),
        domain=np.array([told[name] for name in FEATURES]).T.copy(),
        shapes=np.array([told[name] for name in features.SHAPES]).T.copy(),
        shaped=np.array([features.NAMES.index(name.partition(".")[0]) for name in features.SHAPES]),
        settings=np.array([float(bool(fit.n_rows)), FAR, SLIGHT, ODD_OCTAVES, A_PART]),
    )


def _card(fit: PlatformFit, model: KernelModel) -> Card:
    can, known = model.can, fit.known.residual_scale if fit.known else None
    told = [fit.domain.get(name, (-math.inf, math.inf)) for name in FEATURES]
    return Card(
        costs=np.exp(model.logs),
        hosts=kernels.HOSTS,
        rates=np.array([*can_do(can)], dtype=float),
        logarithms=np.isin(np.arange(len(KERNEL_COLUMNS)), kernels.LOGARITHMS).astype(np.int64),
        host_columns=np.array(kernels.HOST_COLUMNS, dtype=np.int64),
        overlap=float(model.overlap_),
        seen=np.array([name in model.seen for name in GROUPS], dtype=np.int64),
        covariance=np.ascontiguousarray(model.covariance),
        host=forest([model.efficiency.host]),
        device=forest([model.efficiency.device]),
        scale=forest([known] if known else ()),
        domain=np.array(told).T.copy(),
        settings=np.array([FAR, kernels.STEP_S, kernels.SERIAL, float(GROUPS.index("depthwise-convolution"))]),
    )


def _law(fitted: RegimeModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Costs of `FEATURES` on the host, the device, and the device without MACs; the intercept and the overlap."""
    costs = fitted.parameters_
    found = np.zeros((3, len(FEATURES)))
    for at, name in enumerate(FEATURES):
        term = 0 if name in fitted.overhead else 1
        found[term, at] = costs.get(name, 0.0)
        found[2, at] = found[1, at] if name != "macs" else 0.0
    return found, np.array([costs["intercept"], costs["overlap"]])


def _part(name: str) -> int:
    """Twice the group that a column of the device is part of, and one more for MACs; -1 for other columns."""
    group, _, quantity = name.partition(".")
    if group not in features.NAMES or not quantity.endswith(("bytes", "macs")):
        return -1
    return 2 * features.NAMES.index(group) + quantity.endswith("macs")


def forest(trees: Sequence[Trees]) -> Forest:
    """Trees one after another."""
    starts = np.cumsum([0, *(len(one.nodes["left"]) for one in trees)])
    shifts = np.repeat(starts[:-1], np.diff(starts))

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([np.zeros(0), *(one.nodes[name] for one in trees)])

    return Forest(
        left=(joined("left") + shifts).astype(np.int32),
        right=(joined("right") + shifts).astype(np.int32),
        feature=joined("feature").astype(np.int32),
        threshold=joined("threshold").astype(np.float32),
        value=joined("value").astype(np.float32),
        roots=np.concatenate([np.zeros(0), *(one.roots + at for one, at in zip(trees, starts, strict=False))]).astype(
            np.int64
        ),
    )
