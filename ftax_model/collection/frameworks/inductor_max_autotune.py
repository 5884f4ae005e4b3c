"""Inductor that tries out kernels and keeps the fastest, without CUDA graphs."""

from __future__ import annotations

from ftax_model.collection.frameworks.inductor import Inductor


class InductorMaxAutotune(Inductor):
    """``mode="max-autotune-no-cudagraphs"``: the mode that has them as well would mix two causes.

    On a CPU the weights are constants of the code too (freezing), for only then is there a choice of kernels.
    """

    options = {
        "cpu": {"max_autotune": True, "freezing": True},
        "cuda": {"max_autotune": True, "coordinate_descent_tuning": True},
    }
