"""Configurations of anybody: no code, no hub, and one line for what is no model."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Never

import pytest

from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.tracing import sources

BERT = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": 50}  # fmt: skip


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What somebody tried to connect to, which is nobody."""
    found: list[Any] = []

    def refuse(*asked: Any, **more: Any) -> Never:
        found.append(asked)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return found


def config(folder: Path, values: Any) -> Path:
    file = folder / "config.json"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    return file


@pytest.mark.parametrize(
    "more",
    [
        {"auto_map": {"AutoModel": "evil--evil.Model", "AutoConfig": "evil.Config"}, "architectures": ["Evil"]},
        {"attn_implementation": "kernels-community/evil"},
        {"_attn_implementation": "flash_attention_2"},
        {"_name_or_path": "somebody/model", "name_or_path": "/etc/passwd"},
        {"architectures": ["pipeline"]},
        {"architectures": 5},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    ],
)
def test_what_names_code_is_passed_over(more: dict[str, Any], tmp_path: Path, called: list[Any]) -> None:
    plain = sources.of_config(config(tmp_path, BERT)).trace()
    assert sources.of_config(config(tmp_path, {**BERT, **more})).trace() == plain
    assert not called


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"model_type": "evil", "auto_map": {"AutoModel": "evil--evil.Model"}}, DataError, "Unrecognized model"),
        ({"model_type": "maskformer", "backbone": "somebody/model"}, DataError, "offline mode"),
        ({"model_type": "dpt", "backbone": "/etc/passwd"}, DataError, "config.json"),
        ({**BERT, "num_hidden_layers": 10**9}, InputError, "num_hidden_layers is at most 50,000"),
        ({**BERT, "num_labels": 10**9}, InputError, "num_labels is at most 50,000"),
        ({"model_type": "llava", "text_config": {**BERT, "num_hidden_layers": 10**15}}, InputError, "at most 50,000"),
        ({**BERT, "hidden_size": 10**12}, InputError, "transformers builds"),
        ({**BERT, "hidden_act": "__import__('os')"}, InputError, "KeyError"),
        ({**BERT, "architectures": ["GPT2Model"]}, InputError, "transformers builds"),
        ({"model_type": "vit", "image_size": 10**6}, InputError, "shapes that its configuration tells"),
        ({**BERT, "hidden_size": "x"}, DataError, "config.json"),
        ({**BERT, "dtype": "os.system"}, DataError, "config.json"),
        ({"model_type": ["bert"]}, DataError, "TypeError"),
        ({}, DataError, "model_type"),
        ([], DataError, "config.json"),
        ("", DataError, "config.json"),
        ('{"model_type": "bert", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", DataError, "RecursionError"),
    ],
)
def test_what_is_no_model_is_refused(
    values: Any, error: type[FtaxError], said: str, tmp_path: Path, called: list[Any]
) -> None:
    with pytest.raises(error, match=said) as caught:
        sources.of_config(config(tmp_path, values))
    assert "\n" not in str(caught.value)
    assert not called


def test_a_configuration_is_small(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 4,194,304 bytes"):
        sources.of_config(config(tmp_path, {**BERT, "x": "x" * (1 << 22)}))
