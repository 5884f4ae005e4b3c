"""scripts/proxy_tournament.py: regret by hand, and the whole on made-up tables of HELP's and HAT's form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ftax_model.modeling.judging.published import hat_columns

COSTS = {"a_1": ("A", 3e-5, 1e-11), "a_8": ("A", 3e-5, 8e-11), "b_1": ("B", 4e-5, 5e-11), "c_1": ("C", 1e-5, 2e-11)}
"""Device, seconds an operator and seconds a MAC of each key."""


@pytest.fixture(scope="module")
def tournament(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("proxy_tournament")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("data")
    (found / "help").mkdir()
    networks().to_csv(found / "help" / "help.csv", index=False)
    (found / "hat").mkdir()
    for seed, device in enumerate(("one", "two")):
        transformers(seed).to_csv(found / "hat" / f"task_{device}.csv", index=False)
    return found


def networks(count: int = 1200) -> pd.DataFrame:
    """Networks that follow the law but for a part that all devices share."""
    rng = np.random.default_rng(0)
    convolutions = rng.integers(20, 90, count)
    features = {
        "macs": rng.integers(10**7, 10**8, count),
        "activations": rng.integers(10**5, 10**6, count),
        "params": rng.integers(10**5, 10**6, count),
        "n_conv_layers": convolutions,
        "n_ops": 2 * convolutions + rng.integers(5, 60, count),
    }
    shared = np.exp(0.1 * rng.standard_normal(count))
    parts = []
    for key, (device, per_op, per_mac) in COSTS.items():
        seconds = (per_op * features["n_ops"] + per_mac * features["macs"]) * shared
        own = {"space": "fbnet", "arch_id": np.arange(count), "device_key": key, "device": device}
        parts.append(pd.DataFrame({**own, **features, "latency_s": seconds}))
    table = pd.concat(parts)
    return table[~((table["device_key"] == "c_1") & (table["arch_id"] == 7))]  # that was not measured there


def transformers(seed: int, count: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "encoder_embed_dim": rng.choice([512, 640], count),
            "encoder_layer_num": 6,
            "encoder_ffn_embed_dim_avg": rng.uniform(512, 3072, count),
            "decoder_embed_dim": rng.choice([512, 640], count),
            "decoder_layer_num": rng.integers(1, 7, count),
            "decoder_ffn_embed_dim_avg": rng.uniform(512, 3072, count),
            "decoder_arbitrary_ende_attn_avg": rng.uniform(1, 3, count),
        }
    )
    columns = hat_columns(table)
    decoder = 5 + (30 + seed) * columns["depth"] + 4e-6 * columns["decoder_macs"]
    return table.assign(latency_mean_encoder=1e-6 * columns["encoder_macs"], latency_mean_decoder=decoder)


def test_regret_by_hand(tournament: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tournament, "BUDGETS", (0.0, 0.5, 1.0))
    measured, capacity = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1.0, 2.0, 2.0, 3.0, 2.0])
    right = tournament.search(measured, measured, capacity, seconds=True)
    assert right == {"regret": [0, 0, 0], "over": [0, 0, 0]}
    # budgets 1, 3 and 5; the slowest of capacity 2 is believed to be the fastest, so it is taken for 1 and for 3
    wrong = tournament.search(np.array([1.5, 2.0, 3.0, 4.0, 0.5]), measured, capacity, seconds=True)
    assert wrong["regret"] == pytest.approx([1.5, 1.5, 0])
    assert wrong["over"] == pytest.approx([4, 2 / 3, 0])
    # capacity itself as the proxy: the first, one of those with 2 (the first in the list), the largest
    proxy = tournament.search(capacity, measured, capacity, seconds=False)
    assert proxy["regret"] == [0, 0, 0]
    assert np.isnan(proxy["over"]).all()
    nothing_fits = tournament.search(measured + 10, measured, capacity, seconds=True)
    assert nothing_fits["regret"] == [0, 0, 0]


def test_other_devices_are_never_the_same_at_another_batch_size(tournament: ModuleType, folder: Path) -> None:
    found = {field.device: field for field in tournament.fields(folder) if field.space == "fbnet"}
    assert [len(found[key].coefs) for key in COSTS] == [2, 2, 3, 3]
    assert len(found["c_1"].columns) == 1199
    assert np.isfinite(found["c_1"].others).all()
    assert np.isnan(found["a_1"].others).sum(axis=0).tolist() == [0, 1]
    assert not set(found["a_1"].pool) & set(found["a_1"].held)
    assert set(found["a_1"].ranked) < set(found["a_1"].held)


def test_laws_and_devices_beat_proxies(tournament: ModuleType, folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    asked = ["--data", str(folder), "--quick", "--draws", "2", "--jobs", "1", "--picture", str(picture)]
    told = CliRunner().invoke(tournament.main, [*asked, "--json"])
    assert told.exit_code == 0, told.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = {(row["space"], row["by"], row["rows"], row["k"]): row for row in json.loads(told.output)["summary"]}
    by_law, beside = (found["fbnet", name, "random", 10] for name in ("averaged", "averaged, devices"))
    proxies = [row for (space, _, rows, k), row in found.items() if space == "fbnet" and rows == "-" and not k]
    assert len(proxies) == 5
    assert max(row["spearman"] for row in proxies) < by_law["spearman"] < beside["spearman"] - 0.02
    assert max(row["kendall"] for row in proxies) < by_law["kendall"] < beside["kendall"]
    assert beside["error"] < 0.7 * by_law["error"] < 0.1
    assert beside["regret_mean"] < 0.02 < found["fbnet", "macs", "-", 0]["regret_mean"]
    assert found["hat", "averaged", "chosen", 10]["spearman"] > 0.99
    assert {row["draws"] for key, row in found.items() if key[2] != "-"} == {2}


def test_tables_for_people(tournament: ModuleType, folder: Path) -> None:
    told = CliRunner().invoke(tournament.main, ["--data", str(folder), "--quick", "--draws", "1", "--jobs", "1"])
    assert told.exit_code == 0, told.output
    assert max(map(len, told.output.splitlines())) <= 120
    for words in (
        "Spearman: fbnet, 4 devices, 1 draws",
        "Regret",
        "Over the budget",
        "HELP's protocol",
        "1,600 networks",
    ):
        assert words in told.output


def test_a_folder_without_tables_is_one_line(tournament: ModuleType, tmp_path: Path) -> None:
    told = CliRunner().invoke(tournament.main, ["--data", str(tmp_path)])
    assert told.exit_code == 2
    assert len(told.output.splitlines()) == 1
    assert "no help/help.parquet" in told.output
    assert CliRunner().invoke(tournament.main, ["--data", str(tmp_path), "--jobs", "0"]).exit_code == 2
