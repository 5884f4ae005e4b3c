"""Today's compilers are faster than eager PyTorch at batch 1."""

from __future__ import annotations

from ftax_model.claims._crossing import FasterAtBatchOne


class CompilersAreFasterAtBatch1(FasterAtBatchOne):
    """One model at batch 1 in two frameworks."""

    statement = "At batch 1 compiled graphs are faster than eager PyTorch (today Inductor and OpenVINO)"
    source = "section 4.1, of frameworks that are younger than it"
    frameworks = ("inductor", "openvino")
