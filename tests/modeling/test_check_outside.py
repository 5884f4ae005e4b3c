"""scripts/check_outside.py: on made-up tables, and on those that others measured where they are at hand."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "check_outside.py"
SHARED = Path(os.environ.get("FTAX_SHARED_DATA", ROOT.parent / "shared" / "data"))

spec = importlib.util.spec_from_file_location("check_outside", SCRIPT)
check_outside = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = check_outside
spec.loader.exec_module(check_outside)

needs = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no tables of others in {SHARED}")


@pytest.fixture
def folder(tmp_path):
    sizes = [1, 2, 4, 8, 16, 32]
    own = {"x_name": "batch_size", "model": "m", "framework": "f", "precision": "fp32"}
    rows = [{**own, "x": size, "latency_s": np.hypot(0.01, 0.002 * size)} for size in sizes]
    rows += [{**own, "x_name": "seq_len", "x": 1, "latency_s": 1.0}]
    (tmp_path / "paper").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "paper" / "fig4.csv", index=False)
    return tmp_path


def test_a_law_that_fits_has_no_held_out_error(folder):
    result = check_outside.paper(folder)
    assert (result["curves"], result["points"]) == (1, 6)
    assert result["errors"]["fit_curve"]["mean"] < 1e-3 < result["errors"]["max"]["mean"]


def test_json_and_table(folder, capsys):
    assert check_outside.main(["paper", "--data", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["paper"]["curves"] == 1
    assert check_outside.main(["paper", "--data", str(folder)]) == 0
    assert "fit_curve" in capsys.readouterr().out


def test_a_folder_without_tables(tmp_path, capsys):
    assert check_outside.main(["--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "fig4.csv" in error


def test_an_unknown_part(capsys):
    with pytest.raises(SystemExit):
        check_outside.main(["weather"])
    assert "no part 'weather'; choose from paper, sweeps" in capsys.readouterr().err


@needs
@pytest.mark.slow
def test_the_curves_of_the_paper():
    errors = check_outside.paper(SHARED)["errors"]
    assert errors["fit_curve"]["mean"] < 0.055
    assert errors["fit_curve"]["median"] < 0.04
    assert errors["fit_curve"]["mean"] < min(errors[name]["mean"] for name in ("sum", "max", "p-norm"))


@needs
@pytest.mark.slow
def test_published_sweeps(tmp_path):
    table = pd.read_csv(SHARED / "sweeps" / "batch_sweeps.csv")
    (tmp_path / "sweeps").mkdir()
    table[table["framework"] == "aitemplate"].to_csv(tmp_path / "sweeps" / "batch_sweeps.csv", index=False)
    errors = check_outside.sweeps(tmp_path)["errors"]
    assert errors["fit_curve"]["mean"] < min(errors[name]["mean"] for name in ("sum", "max", "p-norm"))
