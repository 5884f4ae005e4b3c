"""Hostile models: ONNX files, configurations and sizes that would take all memory or time, or what is not theirs."""

from __future__ import annotations

import itertools
import json
import math
import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ftax_model import architectures
from ftax_model.errors import FtaxError
from ftax_model.tracing import sources
from ftax_model.tracing.trace import trace_workload
from ftax_model.workload import Workload

FULL = {"sizes": 10_000, "slow": True}
QUICK = {"sizes": 12, "slow": False}

LONGEST_S = 60.0
"""Seconds of the processor that a case may take in this process; what is made apart has limits of its own."""

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
make = helper.make_node


def run(folder: Path, *, seed: int, tell: Callable[[str], None], sizes: int, slow: bool) -> list[dict[str, Any]]:
    """A row for each kind; at most so many ``sizes`` of architectures, and ``slow`` cases too."""
    graphs = onnx_files() | (slow_onnx_files() if slow else {})
    return [
        _row("ONNX files", {name: _of_onnx(folder, content) for name, content in graphs.items()}, tell),
        _row("configurations", {name: _of_config(folder, text) for name, text in configurations()}, tell),
        _row("sizes of architectures", dict(_drawn([*workloads()], sizes, seed)), tell),
    ]


def _row(what: str, cases: dict[str, Callable[[], object]], tell: Callable[[str], None]) -> dict[str, Any]:
    """What came of some cases: each a result or a refusal in one line, in time."""
    bad, refused, slowest_s = 0, 0, 0.0
    for name, case in cases.items():
        began = time.process_time()
        try:
            case()
        except FtaxError as error:
            refused += 1
            wrong = "more than a line" if "\n" in str(error) else ""
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        else:
            wrong = ""
        took_s = time.process_time() - began
        slowest_s = max(slowest_s, took_s)
        wrong = wrong or (f"{took_s:.0f} s" if took_s > LONGEST_S else "")
        if wrong:
            bad += 1
            tell(f"{what}, {name}: {wrong}"[:400])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"what": what, "runs": len(cases), "bad": bad, "refused": refused, "slowest_s": slowest_s, "peak_mib": peak}


def _of_onnx(folder: Path, content: bytes) -> Callable[[], object]:
    def case() -> object:
        file = folder / "net.onnx"
        file.write_bytes(content)
        return sources.of_onnx(file).trace()

    return case


def _of_config(folder: Path, text: str) -> Callable[[], object]:
    def case() -> object:
        file = folder / "config.json"
        file.write_text(text)
        return sources.of_config(file).trace(1)

    return case


def _drawn(cases: list[Any], most: int, seed: int) -> list[Any]:
    return cases if len(cases) <= most else random.Random(seed).sample(cases, most)


def workloads() -> Iterator[tuple[str, Callable[[], object]]]:
    """Each whole number of each architecture, alone far too large."""
    for name in architectures.names():
        for key, default in architectures.load(name).defaults.items():
            whole = isinstance(default, int) and not isinstance(default, bool)
            several = isinstance(default, tuple) and isinstance(default[0], int) and not isinstance(default[0], bool)
            for size in (10**9, 10**15) if whole or several else ():
                value = (size, *default[1:]) if several else size
                workload = Workload(name, {key: value})
                yield f"{name} {key}={size}", lambda workload=workload: trace_workload(workload)  # type: ignore[misc]


BERT = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": 50}  # fmt: skip


def configurations() -> Iterator[tuple[str, str]]:
    """Configurations with sizes, types, names and code as nobody would have them."""
    odd: tuple[Any, ...] = (10**9, 10**12, 10**30, -1, 0, 1.5, math.nan, math.inf, "x", None, [], [1, 2], {}, True)
    for key, value in itertools.product(("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"), odd):
        yield f"bert {key}={value}", json.dumps({**BERT, key: value})
    for more in (
        {"num_labels": 10**9}, {"max_position_embeddings": 10**12}, {"architectures": ["pipeline"]},
        {"architectures": 5}, {"architectures": [{}]}, {"architectures": ["GPT2Model"]}, {"dtype": "os.system"},
        {"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil--evil.Config"}, "architectures": ["Evil"]},
        {"attn_implementation": "evil/kernel"}, {"_attn_implementation": "flash_attention_2"},
        {"_attn_implementation_internal": "kernels-community/flash-attn2"}, {"hidden_act": "__import__('os')"},
        {"quantization_config": {"quant_method": "bitsandbytes"}}, {"_name_or_path": "/etc/passwd"},
    ):  # fmt: skip
        yield f"bert {more}", json.dumps({**BERT, **more})
    for own in (
        {"model_type": "evil", "auto_map": {"AutoModel": "evil--evil.Model"}}, {"model_type": ["bert"]},
        {"model_type": "dpt", "backbone": "evil/model", "use_pretrained_backbone": True}, {"model_type": "../../etc"},
        {"model_type": "detr", "backbone": "/etc", "use_timm_backbone": False},
        {"model_type": "swin", "depths": [10**9]},
        {"model_type": "vit", "image_size": 10**6}, {"model_type": "whisper", "max_source_positions": 10**9},
        {"model_type": "mixtral", "num_local_experts": 10**9}, {"model_type": "llama", "rope_scaling": {"type": "x"}},
        {"model_type": "llava", "text_config": {"model_type": "bert", "num_hidden_layers": 10**9}},
        {"model_type": "distilbert", "max_position_embeddings": 10**9, "sinusoidal_pos_embds": True}, {}, [], None,
    ):  # fmt: skip
        yield str(own), json.dumps(own)
    yield "deep", '{"model_type": "bert", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    yield "no JSON", "\x00"


def onnx_files() -> dict[str, bytes]:
    """Graphs that are not what they say, name what is not theirs, or grow when they are followed."""
    relu = make("Relu", ["x"], ["y"])
    added, cast = make("Add", ["x", "w"], ["y"]), make("Cast", ["z"], ["y"], to=1)
    values = helper.make_tensor_value_info
    found = {
        f"weights in {place!r}": graph([added], [elsewhere(place)])
        for place in ("../../../../../../etc/passwd", "/etc/passwd", "/dev/zero", "a/../../b", "", ".", "gone.bin")
    }
    found |= {
        f"a constant of {dims} and type {kind}": graph([added], [constant(dims, kind)])
        for dims, kind in (((-3,), FLOAT), ((2**60,), FLOAT), ((2**62, 2**62), FLOAT), ((100,), FLOAT),
                           ((10_000,), FLOAT), ((0,), FLOAT), ((2,), 99), ((2,), TensorProto.STRING))
    }  # fmt: skip
    for name, nodes, told in (
        ("ConstantOfShape", [make("ConstantOfShape", ["a"], ["y"])], {"a": [2**40]}),
        ("ConstantOfShape, looked at", [make("ConstantOfShape", ["a"], ["k"]), make("NonZero", ["k"], ["z"]), cast],
         {"a": [2**40]}),
        ("Tile", [make("Tile", ["x", "a"], ["y"])], {"a": [2**40, 2**20]}),
        ("Tile, looked at", [make("Tile", ["x", "a"], ["t"]), make("NonZero", ["t"], ["z"]), cast],
         {"a": [2**30, 2**10]}),
        ("Expand", [make("Expand", ["x", "a"], ["y"])], {"a": [2**40, 4]}),
        ("Range without steps", [make("Range", ["a", "b", "c"], ["z"]), cast], {"a": 0, "b": 10, "c": 0}),
        ("Pad", [make("Pad", ["x", "a"], ["y"])], {"a": [2**40, 0, 0, 0]}),
        ("Pad, negative", [make("Pad", ["x", "a"], ["y"])], {"a": [-(2**40), 0, 0, 0]}),
        ("Reshape", [make("Reshape", ["x", "a"], ["y"])], {"a": [2**62, -1]}),
        ("a loop of -5 rounds", [loop()], {"rounds": -5}),
    ):  # fmt: skip
        found[name] = graph(nodes, [numpy_helper.from_array(np.array(one, np.int64), key) for key, one in told.items()])
    for scale in (1e30, math.nan, math.inf):
        scales = numpy_helper.from_array(np.array([scale, scale], np.float32), "s")
        found[f"Resize by {scale}"] = graph([make("Resize", ["x", "", "s"], ["y"])], [scales])
    found |= {
        f"functions, {levels} deep and {width} wide": functions(levels, width)
        for levels, width in ((3, 10), (7, 10), (60, 2), (300, 1))
    }
    found["functions in a circle"] = functions(3, 2, circle=True)
    found["choices, 30 deep"] = choices(30)
    found["choices, 10,000 deep"] = deep_bytes(10_000)
    for name, nodes in {
        "a circle": [make("Add", ["x", "b"], ["a"]), make("Relu", ["a"], ["b"]), make("Relu", ["b"], ["y"])],
        "no order": [make("Relu", ["a"], ["y"]), make("Relu", ["x"], ["a"])],
        "a name twice": [relu, relu],
        "an input that is not there": [make("Relu", ["q"], ["y"])],
        "no inputs": [make("Add", [], ["y"])],
        "no outputs": [make("Relu", ["x"], [])],
        "no such operator": [make("Evil", ["x"], ["y"])],
        "no such domain": [make("Evil", ["x"], ["y"], domain="evil")],
        "NaN": [make("LeakyRelu", ["x"], ["y"], alpha=math.nan)],
        "an attribute of another type": [make("Einsum", ["x", "x"], ["y"], equation=5)],
        "an equation that is none": [make("Einsum", ["x", "x"], ["y"], equation="\0,,->->,")],
        "few inputs": [make("LSTM", ["x"], ["y"])],
        "no heads": [make("MultiHeadAttention", ["x"], ["y"], domain="com.microsoft", num_heads=0)],
        "no such axis": [make("DFT", ["x"], ["y"], axis=99)],
        "a choice without branches": [make("If", ["x"], ["y"])],
        "a choice without outputs": [make("If", ["x"], [])],
        "a loop without body": [make("Loop", ["x"], ["y"])],
        "too many nodes": [make("Relu", ["x"], ["y"])] * 150_000,
    }.items():
        found[name] = graph(nodes)
    for version in (0, -1, 10**6):
        found[f"opset {version}"] = graph([relu], opset=version)
    for shape in ([-1, -4], [1, 2**62, 2**62], [1, 2**40]):
        looked = [make("NonZero", ["x"], ["z"]), cast]
        found[f"an input of {shape}"] = graph(looked, inputs=[values("x", FLOAT, shape)])
    found["an input of no such type"] = graph([relu], inputs=[values("x", 77, ["n"])])
    found["text"], found["nothing"], found["cut"] = b"hello", b"", graph([relu])[:-9]
    found["names that are no text"] = graph([make("Relu", ["x"], ["yyyy"])]).replace(b"yyyy", b"\xff\xfe\xff\xfe")
    return found


def slow_onnx_files() -> dict[str, bytes]:
    """Graphs whose process runs into its limits of memory or time."""
    told = {"a": 0, "b": 10**12, "c": 1}
    wide = [numpy_helper.from_array(np.array(one, np.int64), name) for name, one in told.items()]
    return {
        "Range of 1e12": graph([make("Range", ["a", "b", "c"], ["z"]), make("Cast", ["z"], ["y"], to=1)], wide),
        "a loop of 2^40 rounds": graph([loop()], [numpy_helper.from_array(np.array(2**40, np.int64), "rounds")]),
    }


def graph(
    nodes: Iterable[Any], constants: Iterable[TensorProto] = (), *, inputs: Any = None, opset: int = 17, more: Any = ()
) -> bytes:
    """The bytes of a model that takes ``x`` and puts out ``y``, with functions of the domain ``own``."""
    inputs = inputs or [helper.make_tensor_value_info("x", FLOAT, ["n", 4])]
    outputs = [helper.make_empty_tensor_value_info("y")]
    versions = [("", opset), ("com.microsoft", 1), ("own", 1), ("evil", 1)]
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions]
    whole = helper.make_graph([*nodes], "g", inputs, outputs, [*constants])
    return bytes(helper.make_model(whole, ir_version=8, opset_imports=opsets, functions=[*more]).SerializeToString())


def constant(dims: Iterable[int], kind: int) -> TensorProto:
    """A constant ``w`` that says it has these extents and that type, and eight bytes."""
    return TensorProto(name="w", dims=[*dims], data_type=kind, raw_data=bytes(8))


def elsewhere(place: str) -> TensorProto:
    """A constant ``w`` whose values lie in another file."""
    found = TensorProto(name="w", dims=[2], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    found.external_data.add(key="location", value=place)
    return found


def loop() -> Any:
    """A loop of ``rounds`` over the input."""
    values = helper.make_tensor_value_info
    body = helper.make_graph(
        [make("Identity", ["go"], ["on"]), make("Relu", ["v"], ["w"])], "body",
        [values("i", INT, []), values("go", TensorProto.BOOL, []), helper.make_empty_tensor_value_info("v")],
        [values("on", TensorProto.BOOL, []), helper.make_empty_tensor_value_info("w")],
    )  # fmt: skip
    return make("Loop", ["rounds", "", "x"], ["y"], body=body)


def functions(levels: int, width: int, *, circle: bool = False) -> bytes:
    """A function that calls another so many times, that another, and the last the first where they are a ``circle``."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    found = []
    for level in range(levels):
        inner = f"f{levels - 1}" if circle and level == 0 else f"f{level - 1}" if level else "Relu"
        names = ["v", *(f"t{at}" for at in range(width))]
        nodes = [make(inner, [one], [other], domain="" if inner == "Relu" else "own")
                 for one, other in itertools.pairwise(names)]  # fmt: skip
        found.append(helper.make_function("own", f"f{level}", ["v"], [names[-1]], nodes, opsets))
    return graph([make(f"f{levels - 1}", ["x"], ["y"], domain="own")], more=found)


def choices(depth: int) -> bytes:
    """A choice in a choice, and so on."""
    output = [helper.make_empty_tensor_value_info("o")]
    inner = [make("Relu", ["x"], ["o"])]
    for level in range(depth):
        then, other = (helper.make_graph(own, f"{level}", [], output) for own in (inner, [make("Relu", ["x"], ["o"])]))
        inner = [make("If", ["yes"], ["o"], then_branch=then, else_branch=other)]
    inner[0].output[0] = "y"
    return graph(inner, [numpy_helper.from_array(np.array(True), "yes")])


def deep_bytes(depth: int) -> bytes:
    """A choice in a choice as bytes alone, deeper than a model can be made."""

    def field(number: int, content: bytes) -> bytes:
        size, left = b"", len(content)
        while left > 127:
            size, left = size + bytes([left & 127 | 128]), left >> 7
        return bytes([number << 3 | 2]) + size + bytes([left]) + content

    found = b""
    for _ in range(depth):
        found = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, found)))
    return b"\x08\x08" + field(7, found) + field(8, b"\x10\x11")
