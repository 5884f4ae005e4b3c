"""Fixtures of the collection tests."""

from pathlib import Path

import pytest

from ftax_model.collection import frameworks, worker_pool


@pytest.fixture
def faulty(monkeypatch):
    """Have the misbehaving frameworks of `faulty.py`, here and in worker servers."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import faulty

    monkeypatch.setattr(frameworks, "names", faulty.names)
    monkeypatch.setattr(frameworks, "load", faulty.load)
    monkeypatch.setattr(worker_pool, "ENTRY", "from faulty import main; main()")
    return faulty


@pytest.fixture
def fake_nvml(monkeypatch):
    """The module `fake_nvml.py`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_nvml

    return fake_nvml
