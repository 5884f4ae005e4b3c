"""``ftax advise``, ``compare`` and ``explain-gap`` as a user meets them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ftax_model.cli import main

SMALL = ("--architecture", "mlp", "--num-layers", "4", "--hidden-size", "64", "--input-size", "64", "--threads", "1")
ELSEWHERE = ("--device", "amd-epyc-turin-2core")


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main([*words]) == code
    return capsys.readouterr()


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> list[Any]:
    """The answers that are printed as JSON, by the schema of their format."""
    found: dict[str, Any] = json.loads(printed(capsys, *words, "--json")[0])
    name = found["format"].removeprefix("ftax_model.").lower()
    schema = json.loads((resources.files("ftax_model.schemas") / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    answers: list[Any] = found["answers"]
    return answers


def test_advice_is_a_line_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("advise", "cpu", *SMALL, *ELSEWHERE, "--framework", "eager")
    out, _ = printed(capsys, *asked)
    (found,) = answered(capsys, *asked)
    assert found["call"]["framework"] == "eager"
    for claim in found["claims"]:
        assert claim["text"].split()[0] in out
        assert claim["change_low_s"] <= claim["change_s"] <= claim["change_high_s"]
    assert {"batch", "framework", "layer", "width"} <= {claim["kind"] for claim in found["claims"]}


def test_advice_for_another_machine_is_not_verified_here(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = printed(capsys, "advise", "cpu", *SMALL, "--device", "amd-epyc-milan-9core", "--verify", code=2)
    assert "advice is verified on the machine it is for" in err


@pytest.mark.slow
def test_the_first_claims_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (found,) = answered(capsys, "advise", *SMALL, "--framework", "eager", "--verify")
    assert [one["text"] for one in found["verified"]] == [one["text"] for one in found["claims"][:3]]
    for one in found["verified"]:
        assert one["ratio"] == pytest.approx(one["after_s"] / one["before_s"])


def test_one_call_is_asked_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert "one call" in printed(capsys, "advise", *SMALL, "--batch-size", "1,2", code=2)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("eager", "onnxruntime", *SMALL, *ELSEWHERE),
        ("bert-tiny", "bert-mini", *ELSEWHERE, "--framework", "torchscript", "--batch-size", "1,8"),
        ("amd-epyc-turin", "intel-xeon-amx", *SMALL, "--batch-size", "1,8"),
        ("nvidia-a100-sxm-40gb", "nvidia-t4", *SMALL[:-2], "--batch-size", "1,8"),
    ],
)
def test_two_things_are_compared_at_each_batch_size(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    (found,) = answered(capsys, "compare", *words)
    assert (found["one"], found["other"]) == words[:2]
    for row in found["rows"]:
        assert row["ratio"] == pytest.approx(row["one_s"] / row["other_s"])
        assert row["beyond"] == (not row["low"] <= 1 <= row["high"])
    assert words[0] in printed(capsys, "compare", *words)[0]


def test_two_datasets_are_compared_by_what_both_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert main(["collect", "toy", "--out", str(tmp_path / f"{name}.jsonl")]) == 0
    found = answered(capsys, "compare", str(tmp_path / "one.jsonl"), str(tmp_path / "other.jsonl"))
    assert sum(len(one["rows"]) for one in found) == 200
    assert all(row["ratio"] == pytest.approx(1, rel=1e-6) for one in found for row in one["rows"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("compare",), "what is compared are two"),
        (("compare", "bert-basee", "resnet-50"), "did you mean 'bert-base'"),
        (("compare", "bert-base", "resnet-50", "--num-layers", "3"), "hyperparameters are those of"),
        (("compare", "bert-base", "resnet-50", "cpu"), "as their names say"),
        (("compare", "eager", "onnxruntime"), "a model is named by one of"),
        (("compare", "eager", "onnxrutime", *SMALL), "did you mean 'onnxruntime'"),
        (("compare", "nvidia-t4", "nvidia-l44", *SMALL[:-2]), "did you mean 'nvidia-l4'"),
        (("explain-gap", *SMALL), "a gap is that of --latency or of --measured"),
        (("explain-gap", *SMALL, "--latency", "5ms"), "name it: --framework eager"),
        (("explain-gap", "--measured", "nothing.jsonl"), "no file nothing.jsonl"),
    ],
)
def test_what_makes_no_sense_is_one_line(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str) -> None:
    out, err = printed(capsys, *words, code=2)
    assert not out
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_gap_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("explain-gap", "cpu", *SMALL, *ELSEWHERE, "--framework", "eager", "--latency", "10ms")
    (found,) = answered(capsys, *asked)
    assert not found["inside"]
    assert found["measured_s"] == 0.01
    assert "outside" in printed(capsys, *asked)[0]


def test_of_a_file_the_worst_record_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, model = str(tmp_path / "toy.jsonl"), str(tmp_path / "toy.json")
    assert main(["collect", "toy", "--out", file]) == 0
    assert main(["fit", file, "--known", "none", "--out", model]) == 0
    records = [json.loads(line) for line in Path(file).read_text().splitlines()]
    records[7]["latency_s"] *= 10
    Path(file).write_text("".join(json.dumps(one) + "\n" for one in records))
    (found,) = answered(capsys, "explain-gap", model, "--measured", file)
    assert found["measured_s"] == records[7]["latency_s"]
