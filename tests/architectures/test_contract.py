"""What every architecture promises; a new file is tested by existing."""

import subprocess
import sys

import pytest

from ftax_model import architectures
from ftax_model.errors import InputError
from ftax_model.operators import FEATURES, Trace
from ftax_model.tracing import trace, trace_workload
from ftax_model.workload import DTYPES, Workload

FAMILIES = ("text-encoder", "generation", "vision", "speech", "block")

CONTRADICTIONS = {
    "streaming": {"operator": "nosuch"},
    "conv2d": {"groups": 7},
    "convnext": {"depths": (1, 1), "widths": (8,)},
    "darts": {"stem": "other"},
    "depthwise-conv2d": {"kernel_size": 2},
    "fbnet": {"blocks": ("k3_e1",) * 21},
    "hat": {"decoder_heads": (8,)},
    "longformer": {"attention_window": 7},
    "mbconv": {"kernel_size": 2},
    "mobilevit": {"num_heads": 7},
    "nasbench201": {"operations": ("none",) * 5},
    "ofa-mobilenet-v3": {"depths": (2,) * 4},
    "poolformer": {"depths": (1, 1), "widths": (8, 16)},
    "resnet": {"depths": (1, 1), "widths": (8,)},
    "squeezebert": {"groups": 7},
    "swin": {"num_heads": (3, 6, 12, 7)},
    "wavlm": {"hidden_size": 24},
}
"""What each refuses; seven heads where nothing else is given."""

NO_PRODUCT = {name: {"macs", "depth", "activations"} for name in ("layer-norm", "streaming")}
"""Architectures without a single product, and the features that are zero for it."""

POSITION_MACS = {"deberta": 2 * 2 * 32 * 128 * 128, "funnel": 4 * 32 * 64 * 64}
"""MACs of the tiniest that are spent on positions alone, once for the whole batch."""

DEPTH = ("num_layers", "depths", "depth_coefficient")
"""Hyperparameters that deepen an architecture."""

STAYS_WITH_DEPTH = {"albert": {"params"}, "lstm": {"n_ops", "depth"}}
"""Features that do not grow with depth: layers share their weights, or are one operator."""

torch_names = [name for name in architectures.names() if "torch" in architectures.load(name).preload]
each = pytest.mark.parametrize("name", architectures.names())
each_with_torch = pytest.mark.parametrize("name", torch_names)


def has_heads(name: str) -> bool:
    defaults = architectures.load(name).defaults
    return {"num_heads", "hidden_size"} <= defaults.keys() and "head_size" not in defaults


def tiniest(name: str) -> Workload:
    return architectures.complete(architectures.load(name).grid()[0])


def build(workload: Workload, device: str = "cpu"):
    import torch

    torch.manual_seed(0)
    with torch.device(device):
        return architectures.load(workload.architecture).build(workload)


def run(workload: Workload):
    import torch

    module, inputs = build(workload)
    with torch.no_grad():
        output = module(**inputs)
    return output if isinstance(output, tuple) else (output,)


def deeper(workload: Workload) -> Workload:
    """The same with its depth doubled."""
    settings = workload.settings
    key = next(key for key in DEPTH if key in settings)
    double = tuple(2 * depth for depth in settings[key]) if key == "depths" else 2 * settings[key]
    return Workload(workload.architecture, {**settings, key: double}, input_size=workload.input_size)


def test_loading_completing_and_listing_import_neither_torch_nor_transformers():
    code = (
        "import sys; from ftax_model import architectures as a\n"
        "for name in a.names():\n"
        "    load = a.load(name); [a.complete(w) for w in load.grid()]\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@each
def test_says_what_it_is(name):
    architecture = architectures.load(name)
    assert architecture.family in FAMILIES
    assert architecture.input_unit in ("tokens", "pixels", "samples", "features", "frames")
    assert {module.partition(".")[0] for module in architecture.preload} <= {"torch", "transformers"}
    assert type(architecture).__doc__


@each_with_torch
def test_inputs_of_another_batch_size_are_those_it_builds_with(name):
    workload = tiniest(name)
    larger = workload.with_batch_size(workload.batch_size + 2)
    inputs = architectures.load(name).inputs_for(build(workload)[0], larger)
    if inputs is not None:
        built = build(larger)[1]
        assert {key: (value.shape, value.dtype) for key, value in inputs.items()} == {
            key: (value.shape, value.dtype) for key, value in built.items()
        }


@each
def test_completing_writes_out_everything_and_is_idempotent(name):
    architecture = architectures.load(name)
    for workload in [Workload(name), *architecture.grid()]:
        full = architectures.complete(workload)
        assert set(full.settings) == set(architecture.defaults)
        assert full.input_size
        assert architectures.complete(full) == full


@each
def test_grid_is_of_this_architecture_and_holds_no_workload_twice(name):
    grid = architectures.load(name).grid()
    assert {workload.architecture for workload in grid} == {name}
    assert len({architectures.complete(workload).key for workload in grid}) == len(grid) >= 3


@each
def test_presets_complete_to_different_models_and_give_their_name_as_label(name):
    presets = architectures.load(name).presets
    models = {architectures.complete(Workload(name, {"preset": preset})) for preset in presets}
    assert len(models) == len(presets)
    for preset in presets:
        assert architectures.label(Workload(name, {"preset": preset})) == preset


@each
def test_refuses_hyperparameters_that_mean_nothing(name):
    with pytest.raises(InputError, match="hyperparameter"):
        architectures.complete(Workload(name, {"no_such_thing": 1}))
    with pytest.raises(InputError, match="preset"):
        architectures.complete(Workload(name, {"preset": "no-such-preset"}))
    for key, default in architectures.load(name).defaults.items():
        with pytest.raises(InputError, match=key):
            architectures.complete(Workload(name, {key: "some words" if not isinstance(default, str) else 1}))
        if isinstance(default, int) and not isinstance(default, bool):
            with pytest.raises(InputError, match=key):
                architectures.complete(Workload(name, {key: 0}))


@pytest.mark.parametrize("name", [name for name in architectures.names() if name in CONTRADICTIONS or has_heads(name)])
def test_refuses_contradictions(name):
    with pytest.raises(InputError):
        architectures.complete(Workload(name, CONTRADICTIONS.get(name, {"num_heads": 7})))


@pytest.mark.parametrize(
    ("name", "hyperparameters", "size"),
    [
        ("bert", {"vocab_size": 3}, None),
        ("convnext", {}, 31),
        ("darts", {"normal": ("skip_connect~0",) * 7}, None),
        ("darts", {"normal": ("skip_connect~2",) * 8}, None),
        ("darts", {"reduction": ("conv_3x3~0",) * 8}, None),
        ("darts", {"stem": "cifar"}, 30),
        ("darts", {}, 80),
        ("efficientnet", {}, 31),
        ("fbnet", {"blocks": ("k7_e1",) * 22}, None),
        ("fbnet", {"strides": (3,) * 8}, None),
        ("funnel", {"hidden_size": 7}, None),
        ("funnel", {}, 4),
        ("hat", {"attended_layers": (4,) * 6}, None),
        ("hat", {"encoder_heads": (7,) * 6}, None),
        ("hat", {"encoder_hidden_size": 7}, None),
        ("hat", {"vocab_size": 3}, None),
        ("llama-decode", {"hidden_size": 27}, None),
        ("longformer", {"attention_window": 2}, None),
        ("mobilenet-v2", {}, 31),
        ("mobilevit", {"mlp_ratio": 0.001}, None),
        ("mobilevit", {}, 63),
        ("nasbench201", {"operations": ("conv_3x3",) * 6}, None),
        ("nasbench201", {"operations": "|none~0|+|none~0|none~1|"}, None),
        ("nasbench201", {}, 30),
        ("nystromformer", {"conv_kernel_size": 2}, None),
        ("nystromformer", {}, 100),
        ("ofa-mobilenet-v3", {"depths": (5,) * 5}, None),
        ("ofa-mobilenet-v3", {"kernel_sizes": (4,) * 20}, None),
        ("poolformer", {"mlp_ratio": 0.01}, None),
        ("poolformer", {"depths": (1, 1), "widths": (8, 8)}, None),
        ("poolformer", {}, 31),
        ("resnet", {"block": "basic", "groups": 2}, None),
        ("resnet", {"block": "other"}, None),
        ("resnet", {"groups": 7}, None),
        ("swin", {}, 200),
        ("vit", {}, 223),
        ("wav2vec2", {}, 399),
        ("whisper-encoder", {}, 199),
    ],
)
def test_refuses_what_cannot_be_computed(name, hyperparameters, size):
    with pytest.raises(InputError):
        architectures.complete(Workload(name, hyperparameters, input_size=size))


@each
def test_any_input_size_is_refused_or_traced(name):
    settings = tiniest(name).settings
    for size in (1, 31):
        try:
            workload = architectures.complete(Workload(name, settings, input_size=size))
        except InputError:
            continue
        assert trace_workload(workload).features()["n_ops"] > 0


@each
def test_refuses_padding_where_it_takes_none(name):
    if "penn-treebank" not in architectures.load(name).lengths:
        with pytest.raises(InputError, match="lengths"):
            architectures.complete(Workload(name, lengths="penn-treebank"))


@each
def test_features_of_the_tiniest_are_sound(name):
    trace = trace_workload(tiniest(name))
    features = trace.features()
    assert trace.memory()["model_bytes"] >= features["params"] * DTYPES[tiniest(name).dtype]
    assert set(features) == set(FEATURES)
    assert all(value > 0 for key, value in features.items() if key not in NO_PRODUCT.get(name, ()))
    assert features["depth"] <= features["n_ops"]


@each
def test_batch_multiplies_macs_and_activations_and_adds_no_operator(name):
    workload = tiniest(name)
    traces = [trace_workload(workload.with_batch_size(size)) for size in (2, 4)]
    small, large = (trace.memory() for trace in traces)
    assert small["live_bytes"] < large["live_bytes"] <= 2 * small["live_bytes"]
    assert small["model_bytes"] == large["model_bytes"]
    one, two = (trace.features() for trace in traces)
    assert 2 * one["macs"] - two["macs"] == POSITION_MACS.get(name, 0)
    assert (two["activations"] == 2 * one["activations"]) is (name not in POSITION_MACS)
    assert two["activation_bytes"] > 1.4 * one["activation_bytes"]
    assert (two["n_ops"], two["depth"], two["params"]) == (one["n_ops"], one["depth"], one["params"])


@pytest.mark.parametrize(
    "name", [name for name in architectures.names() if set(DEPTH) & architectures.load(name).defaults.keys()]
)
def test_more_layers_are_more_of_everything(name):
    workload = tiniest(name)
    shallow, deep = (trace_workload(each).features() for each in (workload, deeper(workload)))
    same = {key for key in FEATURES if deep[key] == shallow[key]}
    assert same == NO_PRODUCT.get(name, set()) | STAYS_WITH_DEPTH.get(name, set())
    assert all(deep[key] > shallow[key] for key in FEATURES.keys() - same)


@each_with_torch
def test_builds_on_meta_in_evaluation_mode_with_the_batch_first(name):
    workload = tiniest(name).with_batch_size(3)
    module, inputs = build(workload, device="meta")
    tensors = [*module.parameters(), *module.buffers(), *inputs.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert {tensor.shape[0] for tensor in inputs.values()} == {3}
    assert not any(part.training for part in module.modules())
    assert trace(module, inputs).params == sum(parameter.numel() for parameter in module.parameters())


@each_with_torch
def test_the_same_seed_gives_the_same_finite_output(name):
    first, second = run(tiniest(name)), run(tiniest(name))
    assert len(first) > 0
    for a, b in zip(first, second, strict=True):
        assert a.equal(b)
        assert a.isfinite().all()


@each
def test_refuses_precisions_that_it_cannot_be_computed_in(name):
    for dtype in DTYPES.keys() - set(architectures.load(name).dtypes):
        with pytest.raises(InputError, match="dtype"):
            architectures.complete(Workload(name, dtype=dtype))


@pytest.mark.parametrize("name", [name for name in torch_names if "bfloat16" in architectures.load(name).dtypes])
def test_runs_in_half_precision(name):
    import torch

    workload = tiniest(name)
    workload = Workload(**{**workload.to_record(), "dtype": "bfloat16"})
    outputs = [output for output in run(workload) if output.is_floating_point()]
    assert {output.dtype for output in outputs} <= {torch.bfloat16}


@each_with_torch
def test_meta_trace_equals_that_of_real_tensors(name):
    check_against_real(tiniest(name))


@pytest.mark.slow
@each
def test_whole_grid(name):
    grid = [architectures.complete(workload) for workload in architectures.load(name).grid()]
    macs = [check_against_real(workload).features()["macs"] for workload in grid]
    assert macs[0] == min(macs)
    assert max(macs) >= 2 * min(macs)


def check_against_real(workload: Workload) -> Trace:
    meta, real = trace_workload(workload), trace(*build(workload))
    assert meta.operators == real.operators
    assert meta.params == real.params
    return meta
