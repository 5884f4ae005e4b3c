"""ONNX graphs: what runs is traced, in the shapes asked for, and what is not known says so."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper, parser
from torch import nn

from ftax_model import LatencyPredictor
from ftax_model.errors import DataError, InputError
from ftax_model.tracing import features, onnx_flow, onnx_nodes, sources, trace

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MACS = {"light_resnet50": 4.09e9, "light_squeezenet": 3.49e8, "light_vgg19": 1.963e10, "light_densenet121": 2.83e9}
"""Of one image, as published for these networks to three digits."""

HEAD = '<ir_version: 8, opset_import: ["" : 17, "my.own" : 1, "com.microsoft" : 1]>'


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """A file of a graph in ONNX's own writing; with constants by name."""

    def write(text: str, constants: dict[str, Any] | None = None) -> Path:
        model = parser.parse_model(f"{HEAD} {text}")
        for name, value in (constants or {}).items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        onnx.save(model, tmp_path / "a.onnx")
        return tmp_path / "a.onnx"

    return write


def kinds(path: Path, size: int | None = None, **given: Any) -> list[str]:
    return [one.kind for one in sources.of_onnx(path, **given).trace(size).operators]


def macs(found: Any) -> float:
    return float(found.features()["macs"])


@pytest.mark.parametrize("name", sorted(MACS))
def test_networks_that_others_exported_have_their_published_macs(name: str) -> None:
    found = sources.of_onnx(LIGHT / f"{name}.onnx")
    assert macs(found.trace()) == pytest.approx(MACS[name], rel=0.01)
    assert features.unknown(found.trace()) == ""


def test_the_batch_of_a_graph_is_bound(file: Any) -> None:
    path = file("g (float[batch, 8] x) => (float[batch, 4] y) { y = MatMul(x, w) }", {"w": np.zeros((8, 4), "f")})
    found = sources.of_onnx(path)
    assert [macs(found.trace(size)) for size in (1, 5)] == [32.0, 160.0]
    assert [one.kind for one in found.trace(5).operators] == ["mm"]
    assert found.trace(5).features()["weight_bytes"] == 128
    assert found.trace().params == 32


def test_an_open_axis_is_asked_for(file: Any) -> None:
    path = file("g (float[n, width] x) => (float[n, width] y) { y = Relu(x) }")
    with pytest.raises(InputError, match=r"width open; give it: --shape x=1x\.\.\."):
        sources.of_onnx(path)
    assert sources.of_onnx(path, shapes={"x": (1, 7)}).trace(3).operators[0].outputs == ((3, 7),)
    for given in ({"shapes": {"z": (1, 7)}}, {"values": {"z": 3}}):
        with pytest.raises(InputError, match=r"the inputs of a\.onnx are x"):
            sources.of_onnx(path, **given)


def test_one_shape_tells_the_axes_that_others_share(file: Any) -> None:
    path = file("g (float[n, t] x, float[n, t] mask, float[t] z) => (float y) { u = Add(x, mask) y = Mul(u, z) }")
    found = sources.of_onnx(path, shapes={"x": (2, 7)})
    assert found.batch_size == 2
    assert {one.outputs for one in found.trace(5).operators} == {((5, 7),)}


def test_the_only_free_axis_is_that_of_the_batch(file: Any) -> None:
    path = file("g (float[?, 4] x, float[2, ?, 4] state) => (float y) { y = Add(x, state) }")
    found = sources.of_onnx(path, shapes={"x": (1, 4), "state": (2, 1, 4)})
    assert [one.outputs for one in found.trace(6).operators] == [((2, 6, 4),)]


def test_shapes_that_depend_on_values_come_from_a_run(file: Any) -> None:
    path = file("g (float[n, 4] x) => (float y) { i = NonZero(x) y = Cast<to=1>(i) }")
    assert [one.outputs for one in sources.of_onnx(path).trace(2).operators] == [((2, 0),), ((2, 0),)]


def test_nodes_without_a_counterpart_are_unknown_by_their_names(file: Any) -> None:
    path = file("g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] z) { y = LRN<size=3>(x) z = Relu(y) }")
    assert features.unknown(sources.of_onnx(path).trace()) == "onnx.LRN (50 % of dispatches, 50 % of bytes)"


CHOICE = """g (float[n, 4] x, int64 rate) => (float[n, 4] y) {{
    flag = Equal(rate, wanted)
    y = If (flag) <
        then_branch = a () => (float[n, 4] u) {{ u = Relu({x}) }},
        else_branch = b () => (float[n, 4] v) {{ t = Sigmoid({x}) v = Exp(t) }}>
}}"""


def test_the_branch_that_runs_is_traced_by_the_value_of_an_input(file: Any) -> None:
    path = file(CHOICE.format(x="x"), {"wanted": np.int64(16000)})
    assert kinds(path, 2, values={"rate": 16000}) == ["relu"]
    assert kinds(path, 2, values={"rate": 16000}, shapes={"rate": ()}) == ["relu"]
    assert kinds(path, 2) == ["eq", "sigmoid", "exp"]  # zero, where nobody says


def test_the_longer_branch_counts_where_a_graph_does_not_run(file: Any) -> None:
    text = CHOICE.format(x="m").replace("flag =", "m = my.own.Mine(x) flag =", 1)
    text = text.replace("=> (float[n, 4] y) {", "=> (float[n, 4] y) <float[n, 4] m> {", 1)
    found = sources.of_onnx(file(text, {"wanted": np.int64(16000)})).trace(2)
    assert [one.kind for one in found.operators] == ["my.own.Mine", "eq", "onnx.If", "sigmoid", "exp"]
    assert {one.outputs for one in found.operators[3:]} == {((2, 4),)}
    assert features.unknown(found).startswith("my.own.Mine, onnx.If (")


def test_shapes_after_a_node_that_nobody_knows_are_refused(file: Any) -> None:
    path = file("g (float[n, 4] x) => (float y) { m = my.own.Mine(x) y = Relu(m) }")
    with pytest.raises(InputError, match=r"a\.onnx runs with its inputs.*Mine"):
        sources.of_onnx(path).trace(2)


LOOP = """g (float[n, 4] x) => (float[n, 4] y, float[rounds, n, 4] all) {
    rounds = Constant<value = int64 {3}>() going = Constant<value = bool {1}>()
    y, all = Loop (rounds, going, x) <body = one
        (int64 round, bool going_on, float[n, 4] before) => (bool go, float[n, 4] after, float[n, 4] seen) {
            go = Identity(going_on) number = Cast<to=1>(round) half = MatMul(before, w) after = Add(half, number)
            seen = Relu(after) }>
}"""
SCAN = """g (float[3, 4] x, float[4] start) => (float[4] y, float[3, 4] all) {
    y, all = Scan <num_scan_inputs = 1, body = one
        (float[4] before, float[4] row) => (float[4] after, float[4] seen) {
            t = Add(before, row) after = Tanh(t) seen = Identity(after) }> (start, x)
}"""
WEIGHTS = {"w": np.linspace(-1, 1, 16, dtype="f").reshape(4, 4)}


def test_a_loop_counts_once_for_each_round(file: Any) -> None:
    found = sources.of_onnx(file(LOOP, WEIGHTS)).trace(2)
    assert macs(found) == 3 * 2 * 4 * 4
    assert [one.kind for one in found.operators] == ["mm", "add", "relu"] * 3 + ["cat"]
    assert (found.features()["depth"], found.params) == (3, 16)
    path = file(SCAN)
    assert kinds(path, 3, shapes={"start": (4,)}).count("tanh") == 3


@pytest.mark.parametrize(("text", "constants"), [(LOOP, WEIGHTS), (SCAN, {}), (CHOICE.format(x="x"), {"wanted": 0})])
def test_a_straight_graph_puts_out_the_same(file: Any, text: str, constants: dict[str, Any]) -> None:
    model = onnx.load(file(text, constants))
    inputs = {"x": np.random.default_rng(0).normal(size=(3, 4)).astype("f")}
    inputs |= {"rate": np.array(0)} if "rate" in text else {"start": np.zeros(4, "f")} if "start" in text else {}

    def run(one: Any, names: list[str] | None) -> dict[str, Any]:
        wanted = onnx.ModelProto()
        wanted.CopyFrom(one)
        known = [value.name for value in one.graph.output]
        wanted.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names or [])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(wanted.SerializeToString(), options, providers=["CPUExecutionProvider"])
        asked = names or known
        return dict(zip(asked, session.run(asked, inputs), strict=True))

    expected = run(model, None)
    onnx_flow.straighten(model, run)
    assert not any(node.op_type in ("If", "Loop", "Scan") for node in model.graph.node)
    for name, value in run(model, None).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


def test_a_loop_too_long_to_lay_out_is_refused(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_flow, "MOST_NODES", 5)
    with pytest.raises(InputError, match="loops are laid out to 5 operators"):
        sources.of_onnx(file(LOOP, WEIGHTS)).trace(2)


PRODUCTS = {
    'y = Einsum<equation="bij,bjk->bik">(a, b)': (2 * 3 * 4 * 5, "bmm"),
    "y = com.microsoft.FusedMatMul(a, b)": (2 * 3 * 4 * 5, "bmm"),
    "y = MatMul(a, b)": (2 * 3 * 4 * 5, "bmm"),
    "t = Transpose<perm=[0, 2, 1]>(b) y = com.microsoft.FusedMatMul<transB=1>(a, t)": (2 * 3 * 4 * 5, "bmm"),
    "y = com.microsoft.MultiHeadAttention<num_heads=2>(a, a, a)": (
        2 * 2 * 3 * 3 * 2 * 2,
        "scaled_dot_product_attention",
    ),
}


@pytest.mark.parametrize("text", PRODUCTS)
def test_products_under_other_names_count(file: Any, text: str) -> None:
    path = file(f"g (float[2, 3, 4] a, float[2, 4, 5] b) => (float y) {{ {text} }}")
    last = sources.of_onnx(path).trace().operators[-1]
    assert (last.macs, last.kind) == PRODUCTS[text]
    assert features.is_known(last)


QUANTISED = """g (float[n, 4] x) => (float y) {
    q = QuantizeLinear(x, scale, zero) d = DequantizeLinear(q, scale, zero) y = MatMul(d, w) }"""
WHOLE = """g (uint8[n, 4] x) => (int32 y) { y = MatMulInteger(x, wi) }"""


def test_whole_numbers_within_a_choice_are_seen(file: Any) -> None:
    text = CHOICE.format(x="x").replace("t = Sigmoid(x)", "t = DequantizeLinear(whole, scale, zero)")
    constants = {"wanted": np.int64(1), "scale": np.float32(0.1), "zero": np.uint8(0), "whole": np.zeros((2, 4), "u1")}
    assert sources.of_onnx(file(text, constants)).dtype == "int8"


@pytest.mark.parametrize("text", [QUANTISED, WHOLE])
def test_graphs_of_whole_numbers_are_told_apart(file: Any, text: str, tmp_path: Path) -> None:
    constants = {"scale": np.float32(0.1), "zero": np.uint8(0), **WEIGHTS, "wi": np.zeros((4, 4), "u1")}
    found = sources.of_onnx(file(text, constants))
    assert (found.dtype, macs(found.trace(2))) == ("int8", 32.0)
    with pytest.raises(InputError, match=r"float16 and bfloat16; got a\.onnx, int8"):
        LatencyPredictor.load("cpu").predict(found, framework="onnxruntime")
    sources.write(tmp_path / "a.json", found, {2: found.trace(2)})
    assert sources.read(tmp_path / "a.json").dtype == "int8"


def test_weights_in_a_file_that_is_not_there_are_counted_all_the_same(file: Any, tmp_path: Path) -> None:
    path = file("g (float[n, 90] x) => (float y) { y = MatMul(x, w) }", {"w": np.zeros((90, 90), "f")})
    expected = sources.of_onnx(path).trace(2)
    onnx.save(onnx.load(path), tmp_path / "b.onnx", save_as_external_data=True, location="b.data", size_threshold=0)
    (tmp_path / "b.data").unlink()
    assert sources.of_onnx(tmp_path / "b.onnx").trace(2) == expected


def test_functions_of_a_model_are_looked_into(tmp_path: Path) -> None:
    text = f"{HEAD} g (float[n, 4] x) => (float[n, 4] y) {{ y = my.own.twice(x) }}"
    twice = '<domain: "my.own", opset_import: ["" : 17]> twice (a) => (b) { t = Relu(a) b = Exp(t) }'
    onnx.save(parser.parse_model(f"{text} {twice}"), tmp_path / "a.onnx")
    assert kinds(tmp_path / "a.onnx", 2) == ["relu", "exp"]


@pytest.mark.filterwarnings("ignore")
def test_a_recurrent_node_is_as_torch_has_it(tmp_path: Path) -> None:
    module = nn.LSTM(8, 16, batch_first=False).eval()
    inputs = torch.zeros(5, 2, 8)
    torch.onnx.export(module, (inputs,), tmp_path / "a.onnx", dynamo=False)
    own = [one for one in sources.of_onnx(tmp_path / "a.onnx").trace().operators if one.kind == "lstm"]
    theirs = [one for one in trace(module, (inputs,)).operators if one.kind == "lstm"]
    for mine, his in zip(own, theirs, strict=True):
        assert mine.macs == his.macs
        assert features.amounts(mine)[0]["steps"] == features.amounts(his)[0]["steps"]


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no protobuf")
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("a.onnx", "none.onnx", "empty.onnx"):
        with pytest.raises(DataError, match="an ONNX file holds a model"):
            sources.of_onnx(tmp_path / name)


@pytest.mark.filterwarnings("ignore")
def test_onnx_counts_what_torch_does(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)).eval()
    image = torch.zeros(2, 3, 16, 16)
    module(image)
    torch.onnx.export(module, (image,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    assert macs(sources.of_onnx(tmp_path / "net.onnx").trace()) == macs(trace(module, (image,)))


def test_every_kind_that_nodes_become_is_known() -> None:
    strange = [kind for kind in onnx_nodes.KINDS.values() if not features.is_known(features.Operator(kind, (), ()))]
    assert strange == []


PACKAGES = {
    "silero-vad": {
        "silero_vad.onnx", "silero_vad_16k_op15.onnx", "silero_vad_half.onnx", "silero_vad_op18_ifless.onnx",
    },
    "magika": {"model.onnx"},
    "rapidocr-onnxruntime": {
        "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx", "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    },
}  # fmt: skip
"""Packages that hold real files (scripts/onnx_files), and some of those files."""

GIVEN: dict[str, dict[str, Any]] = {
    "silero_vad": {"shapes": {"input": (1, 512), "state": (2, 1, 128)}, "values": {"sr": 16000}},
    "silero_vad_half": {"shapes": {"input": (1, 512), "state": (2, 1, 128)}},
    "ch_PP-OCRv4_det_infer": {"shapes": {"x": (1, 3, 64, 64)}},
    "ch_PP-OCRv4_rec_infer": {"shapes": {"x": (1, 3, 48, 64)}},
    "ch_ppocr_mobile_v2.0_cls_infer": {"shapes": {"x": (1, 3, 48, 192)}},
}
GIVEN |= {f"silero_vad_{more}": GIVEN["silero_vad"] for more in ("16k_op15", "op18_ifless")}


def real(package: str, name: str) -> Path:
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: scripts/onnx_files")
    return Path(str(next(one for one in files if one.name == name).locate()))


@pytest.mark.parametrize(("package", "name"), [(one, name) for one, own in PACKAGES.items() for name in sorted(own)])
def test_real_files_are_known_to_their_last_operator(package: str, name: str) -> None:
    path = real(package, name)
    found = sources.of_onnx(path, **GIVEN.get(path.stem, {})).trace()
    assert found.features()["macs"] > 1e5
    assert features.unknown(found) == ""
    assert found.params * 4 <= 1.05 * path.stat().st_size


def test_one_network_in_three_forms_counts_alike() -> None:
    forms = ["silero_vad.onnx", "silero_vad_16k_op15.onnx", "silero_vad_op18_ifless.onnx", "silero_vad_half.onnx"]
    own = {macs(sources.of_onnx(real("silero-vad", name), **GIVEN[name[:-5]]).trace()) for name in forms}
    assert len(own) == 1
    eight = {"shapes": {"input": (1, 256), "state": (2, 1, 128)}, "values": {"sr": 8000}}
    assert macs(sources.of_onnx(real("silero-vad", "silero_vad.onnx"), **eight).trace()) < own.pop()
