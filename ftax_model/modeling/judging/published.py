"""Tables of latencies that others published, HELP's and HAT's, with the law's columns of their networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ftax_model.errors import DataError, MissingError
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.transfer import Transfer


@dataclass(frozen=True)
class Space:
    """An architecture space of HELP's.

    Networks below ``split`` may be drawn to learn from, those from there to ``end`` are for testing. ``block`` is the
    number of operators that come with each convolution: the convolution, its norm and, in NAS-Bench-201, its
    activation. ``laws_from`` are the spaces whose devices stand for other devices. ``published`` is HELP's mean
    Spearman with ten networks, on other devices.
    """

    split: int
    end: int
    block: int
    laws_from: tuple[str, ...]
    published: float | None = None


SPACES: Mapping[str, Space] = {
    "nasbench201": Space(900, 1900, block=3, laws_from=("nasbench201",), published=0.932),
    "fbnet": Space(1000, 2000, block=2, laws_from=("fbnet",)),
    "ofa": Space(1000, 2000, block=2, laws_from=("fbnet", "nasbench201")),
}

HAT: Mapping[str, float] = {"gpu_titanxp": 0.058, "cpu_xeon": 0.046, "cpu_raspberrypi": 0.046}
"""Devices of HAT, and the error of its network that learnt from 1,600 rows."""


def read(path: Path) -> pd.DataFrame:
    """A table of comma-separated values; raises `DataError` where there is no such file."""
    if not path.is_file():
        raise DataError("the check reads tables that others measured", f"no file {path}", "name their folder: --data")
    return pd.read_csv(path)


def help_table(folder: Path) -> pd.DataFrame:
    """HELP's latencies, from ``help.csv`` where there is one, else from ``help.parquet``."""
    csv, parquet = folder / "help" / "help.csv", folder / "help" / "help.parquet"
    if csv.is_file() or not parquet.is_file():
        return read(csv if csv.is_file() else parquet)
    try:
        return pd.read_parquet(parquet)
    except ImportError as error:
        law = f"{parquet.name} is read with pyarrow"
        raise MissingError(law, "none installed", "pip install pyarrow") from error


@dataclass(frozen=True)
class Devices:
    """A space of HELP's: features by arch_id, latencies (s) by arch_id and device_key, and each key's device."""

    features: pd.DataFrame
    latency_s: pd.DataFrame
    device: pd.Series

    @classmethod
    def of(cls, table: pd.DataFrame, space: str) -> Devices:
        """Those of one space, from `help_table`."""
        rows = table[table["space"] == space]
        return cls(
            rows.drop_duplicates("arch_id").set_index("arch_id").sort_index(),
            rows.pivot(index="arch_id", columns="device_key", values="latency_s").sort_index(),
            rows.drop_duplicates("device_key").set_index("device_key")["device"],
        )

    def columns(self, block: int) -> Array:
        """The law's columns: 1, convolutions, operators beyond the convolutions' own, MACs, activations, parameters."""
        table = self.features
        others = (table["n_ops"] - block * table["n_conv_layers"]).clip(lower=0)
        rest = [table[name] for name in ("macs", "activations", "params")]
        return np.column_stack([np.ones(len(table)), table["n_conv_layers"], others, *rest]).astype(float)

    def laws(self, block: int) -> pd.DataFrame:
        """Coefficients of the law of each device_key (columns), fitted to all networks."""
        columns = self.columns(block)
        measured = self.latency_s.notna()
        fits = {
            key: Transfer(strength=0).fit(columns[measured[key]], values[measured[key]]).coef_
            for key, values in self.latency_s.items()
        }
        return pd.DataFrame(fits)


def middle(latency_s: Array, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Those rows without the fastest and the slowest tenth."""
    ordered = rows[np.argsort(latency_s[rows], kind="stable")]
    tenth = len(ordered) // 10
    return np.sort(ordered[tenth : len(ordered) - tenth])


HAT_TOKENS, HAT_VOCABULARY = 30, 32_000
"""Tokens of the sentence that HAT times, and words that its output layer tells apart, about."""


def hat_proxies(table: pd.DataFrame) -> pd.DataFrame:
    """MACs, params, depth, operators and activations of HAT's transformers, for one sentence; counted by hand.

    Every token of the sentence is decoded by itself, so operators and MACs of the decoder count once for each. A layer
    of the encoder dispatches 16 operators, one of the decoder 26; activations are what the products of matrices write.
    """
    columns = hat_columns(table)
    width, hidden = table["decoder_embed_dim"], table["decoder_ffn_embed_dim_avg"]
    layers = columns["encoder_macs"] + columns["decoder_macs"]
    words = HAT_VOCABULARY * width
    written = table["encoder_layer_num"] * (
        table["encoder_ffn_embed_dim_avg"] + 2 * table["encoder_embed_dim"] + 3 * 512
    ) + columns["depth"] * (hidden + 3 * width + 4 * 512)
    return pd.DataFrame(
        {
            "macs": HAT_TOKENS * (layers + words),
            "params": layers + words + HAT_VOCABULARY * table["encoder_embed_dim"],
            "depth": columns["depth"],
            "n_ops": 16 * table["encoder_layer_num"] + 26 * HAT_TOKENS * columns["depth"],
            "activations": HAT_TOKENS * (written + HAT_VOCABULARY),
        },
        dtype=float,
    )


def hat_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The law's columns of HAT's transformers, from the published architecture.

    The encoder runs once, the decoder token by token at batch 1, so its depth counts dispatches. Attention projects to
    512 numbers whatever the embedding. The output layer maps the decoder's embedding to the vocabulary at each token:
    its cost is that embedding's width. ``attended`` is how many encoder layers the decoder layers attend to, in all.
    MACs are per token.
    """
    encoder, decoder = (
        {
            "depth": table[f"{side}_layer_num"],
            "width": table[f"{side}_embed_dim"],
            "hidden": table[f"{side}_ffn_embed_dim_avg"],
        }
        for side in ("encoder", "decoder")
    )
    macs = [
        side["depth"] * side["width"] * (2 * side["hidden"] + projections * 512)
        for side, projections in ((encoder, 4), (decoder, 6))
    ]
    return pd.DataFrame(
        {
            "constant": 1.0,
            "depth": decoder["depth"],
            "decoder_macs": macs[1],
            "encoder_macs": macs[0],
            "output_width": decoder["width"],
            "attended": decoder["depth"] * table["decoder_arbitrary_ende_attn_avg"],
        },
        dtype=float,
    )
