"""Costs of strangers: what `LatencyCost.load` reads, and what the cost then says of candidates, one and several."""

from __future__ import annotations

import functools
import io
import json
import random
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost
from ftax_model.tracing import polynomials
from ftax_model.tracing.polynomials import InexactError

ODD: Sequence[Any] = (0, 1, -1, 7, 1e5, -1e5, 2**31 - 1, 1e-30, 1e300, np.nan, np.inf, -np.inf)
CANDIDATE = {"hidden_size": 96, "batch_size": 4}


@functools.cache
def seeds() -> list[bytes]:
    """Costs of the predictors that `fuzz_predictor` cuts down, of a CPU, of the law alone, and of a GPU."""
    sys.path.append(str(Path(__file__).parent))
    from fuzz_predictor import records

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for at, platform in ((0, {}), (2, {}), (1, {"device": "nvidia-l4"})):
            file = Path(folder) / "one"
            file.write_text(json.dumps(records()[at]))
            predictor = LatencyPredictor.load(file)
            framework = predictor.fits_[0].platform.framework if predictor.fits_ else "eager"
            cost = LatencyCost(predictor, framework=framework, architecture="layer-norm", **platform)
            if not at:
                cost(CANDIDATE)  # so that there are polynomials
            cost.save(file)
            found.append(file.read_bytes())
    return found


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Numbers of an array changed, its header or type, values of the record swapped, or bytes of the file."""
    from torture_fuzz import flipped, mutated

    kind = dice.random()
    if kind < 0.1:
        return flipped(data, dice)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            arrays = {name: packed.read(name) for name in packed.namelist()}
        name = dice.choice([*arrays])
        if name == "record.npy" or kind < 0.4:
            name = "record.npy" if "record.npy" in arrays else name
            own = np.frombuffer(mutated(np.load(io.BytesIO(arrays[name])).tobytes(), dice), np.uint8)
            arrays[name] = _npy(own)
        elif kind < 0.5:
            arrays[name] = flipped(arrays[name], dice)
        else:
            arrays[name] = _npy(_changed(np.load(io.BytesIO(arrays[name])), dice))
    except Exception:  # what was spoilt before
        return flipped(data, dice)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", dice.choice((0,) * 30 + (zipfile.ZIP_DEFLATED,))) as packed:
        for one, own in arrays.items():
            packed.writestr(one, own)
    return content.getvalue()


def read(data: bytes, folder: Path) -> None:
    file = folder / "cost.npz"
    file.write_bytes(data)
    cost, derive = LatencyCost.load(file), polynomials.derive
    polynomials.derive = _no_time  # type: ignore[assignment]
    try:
        one = cost(CANDIDATE)
        assert 1e-9 <= one <= 1e6
        if zlib.crc32(data) % 4 == 0:
            low, high = cost.interval({**CANDIDATE, "hidden_size": np.array([96, 64])})
            assert ((low > 0) & (low <= high) & (high <= 1e6)).all()
    finally:
        polynomials.derive = derive


def _no_time(*_: Any, **__: Any) -> None:
    raise InexactError("while files are read")


def _changed(own: Any, dice: random.Random) -> Any:
    how = dice.randrange(8)
    if how == 0:
        return own.astype(dice.choice(("f2", "f4", "f8", "i4", "i8", "u1", "S3", "c16")))
    if how == 1:
        return np.resize(own, dice.choice(((0,), (own.size + 1,), (1, *own.shape), own.shape[:-1])))
    own = own.copy()
    flat = own.reshape(-1)
    for at in dice.choices(range(flat.size), k=dice.choice((1, 1, 2, 20))) if flat.size else ():
        with np.errstate(all="ignore"):
            flat[at] = np.float64(dice.choice((*ODD, at + 1))).astype(own.dtype)
    return flat.reshape(own.shape)


def _npy(own: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, own)
    return content.getvalue()
