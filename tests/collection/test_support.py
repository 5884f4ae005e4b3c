"""The table of support covers every pair, and measurements overrule what frameworks say of themselves."""

from __future__ import annotations

from ftax_model import architectures
from ftax_model.collection import frameworks
from ftax_model.collection.support import support
from ftax_model.device import Device, detect
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload


def test_every_pair_has_an_answer() -> None:
    found = support(detect("cpu"))
    assert set(found) == {(one, other) for one in architectures.names() for other in frameworks.names()}
    assert all(not found[name, "fake"] for name in architectures.names())
    assert "cuda" in found["bert", "cuda-graphs"]
    assert not found["bert", "eager"]


def test_reasons_depend_on_the_device() -> None:
    gpu = Device(name="some-gpu", kind="cuda", model="Some GPU", host_cpu="some", cores=2)
    assert "openvino" not in {framework for (_, framework), reason in support(gpu).items() if not reason}


def test_what_was_seen_overrules_what_is_said() -> None:
    cell = Cell(architectures.complete(Workload("bert")), "eager", "here")
    failed = Measurement(cell, status="unsupported", reason="not today")
    assert support(detect("cpu"), seen=[failed])["bert", "eager"] == "unsupported: not today"
    assert not support(detect("cpu"), seen=[failed, Measurement(cell, latency_s=1.0)])["bert", "eager"]
