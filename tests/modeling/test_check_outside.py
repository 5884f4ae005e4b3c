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
    assert "no part 'weather'; choose from paper, sweeps, help, hat" in capsys.readouterr().err


def networks(space, *, count, noise=0.0):
    """Networks on two devices with proportions of their own, and one of them at another batch size."""
    rng = np.random.default_rng(0)
    convolutions = rng.integers(20, 90, count)
    features = {
        "macs": rng.integers(10**7, 10**8, count),
        "activations": rng.integers(10**5, 10**6, count),
        "params": rng.integers(10**5, 10**6, count),
        "n_conv_layers": convolutions,
        "n_ops": 3 * convolutions + rng.integers(5, 60, count),
    }
    ops, macs = features["n_ops"], features["macs"]
    times = {
        "a_1": ("A", 1, 3e-5 * ops + 1e-11 * macs),
        "a_8": ("A", 8, 3e-5 * ops + 8e-11 * macs),
        "b_1": ("B", 1, 4e-5 * ops + 3e-11 * macs),
    }
    tables = []
    for key, (device, batch, seconds) in times.items():
        own = {"space": space, "arch_id": np.arange(count), "device_key": key, "device": device, "batch_size": batch}
        measured = seconds * np.exp(noise * rng.standard_normal(count))
        tables.append(pd.DataFrame({**own, **features, "latency_s": measured}))
    return pd.concat(tables)


def help_folder(folder, table):
    (folder / "help").mkdir()
    table.to_csv(folder / "help" / "help.csv", index=False)
    return folder


def test_help_ranks_networks_that_follow_the_law(tmp_path):
    result = check_outside.help_(help_folder(tmp_path, networks("nasbench201", count=1100)))
    figures = result["nasbench201"]
    assert set(figures["devices"]) == {"a_1", "a_8", "b_1"}
    assert figures["mean"]["published"] == 0.932
    assert min(figures["mean"][name] for name in ("law", "reference laws", "all networks")) > 0.99


def test_help_never_takes_the_same_device_as_reference(tmp_path):
    table = networks("nasbench201", count=1100, noise=0.05)
    figures = check_outside.help_(help_folder(tmp_path, table[table["device"] == "A"]))["nasbench201"]
    assert figures["mean"]["reference laws"] is None
    assert figures["mean"]["reference latencies"] is None
    assert figures["devices"]["a_1"]["law"] > 0.8


def test_a_space_of_one_device_has_the_laws_of_another_space(tmp_path):
    one = networks("ofa", count=1200)
    table = pd.concat([one[one["device"] == "A"].assign(device="C"), networks("fbnet", count=1200)])
    figures = check_outside.help_(help_folder(tmp_path, table))["ofa"]["mean"]
    assert figures["reference laws"] > 0.9
    assert figures["reference latencies"] is None


def test_the_middle_leaves_out_the_tenths():
    latency_s = np.arange(20.0)[::-1]
    assert check_outside.middle(latency_s, np.arange(20)).tolist() == list(range(2, 18))


def hat_folder(folder, *, rows=240):
    (folder / "hat").mkdir()
    rng = np.random.default_rng(0)
    for device in check_outside.HAT:
        table = pd.DataFrame(
            {
                "encoder_embed_dim": rng.choice([512, 640], rows),
                "encoder_layer_num": 6,
                "encoder_ffn_embed_dim_avg": rng.uniform(512, 3072, rows),
                "decoder_embed_dim": rng.choice([512, 640], rows),
                "decoder_layer_num": rng.integers(1, 7, rows),
                "decoder_ffn_embed_dim_avg": rng.uniform(512, 3072, rows),
                "decoder_arbitrary_ende_attn_avg": rng.uniform(1, 3, rows),
            }
        )
        columns = check_outside.hat_columns(table)
        decoder = 5 + 30 * columns["depth"] + 4e-6 * columns["decoder_macs"] + 0.1 * columns["output_width"]
        table = table.assign(latency_mean_encoder=1e-6 * columns["encoder_macs"], latency_mean_decoder=decoder)
        table.to_csv(folder / "hat" / f"wmt14ende_{device}.csv", index=False)
    return folder


def test_hat_finds_the_output_layer_that_the_plain_fit_lacks(tmp_path):
    for figures in check_outside.hat(hat_folder(tmp_path)).values():
        assert figures["law"] < 0.02 < figures["plain"]
        assert figures["published"] > 0.04


def test_help_and_hat_in_text_and_json(tmp_path, capsys):
    hat_folder(help_folder(tmp_path, networks("nasbench201", count=1100)))
    assert check_outside.main(["help", "hat", "--data", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"help", "hat"}
    assert check_outside.main(["help", "hat", "--data", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("published", "reference laws", "gpu_titanxp", "other devices of the file"))


@needs
@pytest.mark.slow
def test_ten_networks_rank_the_others():
    pytest.importorskip("pyarrow")
    result = check_outside.help_(SHARED)
    means = {space: figures["mean"] for space, figures in result.items()}
    assert means["nasbench201"]["law"] > 0.94 > means["nasbench201"]["published"]
    assert means["fbnet"]["reference latencies"] > 0.92
    assert means["fbnet"]["law"] > means["fbnet"]["plain"] + 0.03


@needs
@pytest.mark.slow
def test_twenty_rows_beside_sixteen_hundred():
    result = check_outside.hat(SHARED)
    for device in ("gpu_titanxp", "cpu_raspberrypi"):
        assert result[device]["law"] < result[device]["published"]
    assert all(figures["law"] < figures["plain"] for figures in result.values())


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
