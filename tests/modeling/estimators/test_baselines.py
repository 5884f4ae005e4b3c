"""The plain laws that stand beside the full one."""

import numpy as np
import pandas as pd
import pytest

from ftax_model.errors import InputError
from ftax_model.modeling.estimators.baselines import BASELINES, Roofline
from ftax_model.operators import FEATURES


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: 10 ** rng.uniform(4, 9, 40) for name in FEATURES})
    return frame.assign(depth=rng.integers(5, 100, 40))


LAWS = {
    "macs": lambda X: 1e-3 + 2e-11 * X["macs"],
    "macs + activations": lambda X: 1e-3 + 2e-11 * X["macs"] + 3e-11 * X["activations"],
    "roofline": lambda X: np.maximum(2e-11 * X["macs"], 5e-12 * (X["activation_bytes"] + X["weight_bytes"])),
    "max(depth, macs)": lambda X: np.maximum(1e-3 + 1e-4 * X["depth"], 2e-11 * X["macs"]),
}


def test_every_baseline_has_its_law_here():
    assert set(LAWS) == set(BASELINES)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_finds_its_own_law(name):
    X = table()
    seconds = LAWS[name](X).to_numpy()
    model = BASELINES[name]().fit(X, seconds)
    np.testing.assert_allclose(model.predict(X), seconds, rtol=1e-3)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_takes_groups_and_returns_itself(name):
    X = table()
    model = BASELINES[name]()
    assert model.fit(X, LAWS[name](X), groups=np.arange(len(X)) % 4) is model


def test_the_peaks_of_a_roofline():
    X = table()
    model = Roofline().fit(X, LAWS["roofline"](X))
    assert model.peak_macs_ == pytest.approx(5e10, rel=1e-3)
    assert model.bandwidth_ == pytest.approx(2e11, rel=1e-3)


def test_a_roofline_refuses_what_it_cannot_use():
    X = table()
    with pytest.raises(InputError, match="column of X is one of"):
        Roofline(macs="flops").fit(X, LAWS["macs"](X))
    with pytest.raises(InputError, match="finite numbers"):
        Roofline().fit(X.assign(macs=np.nan), LAWS["macs"](X))
