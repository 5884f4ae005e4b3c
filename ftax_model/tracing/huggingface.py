"""Models of transformers from their configuration: built without weights, with the inputs that their class takes."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftax_model.errors import DataError, FtaxError, InputError, one_line
from ftax_model.operators import Trace
from ftax_model.tracing.sweeps import ModuleSweep
from ftax_model.tracing.trace import ValuesError, trace

TOKENS, SECONDS, RATE = 128, 2, 16_000
"""Length of texts and sounds where the configuration does not tell them."""

MOST_WEIGHT_BYTES = 1 << 30
"""Weights of the largest model that is called with random ones, where a trace without values is not to be had."""

_LAW = "a model of transformers is told by its configuration: a config.json, or a folder that holds one"


def read_config(path: str | os.PathLike[str]) -> Any:
    """The configuration in a file or folder; where there is neither, that of this name on the hub.

    Runs no code of the model's. Raises `DataError` where there is none.
    """
    from transformers import AutoConfig

    place = Path(path)
    file = place / "config.json" if place.is_dir() else place
    if not file.exists() and (place.suffix or len(place.parts) > 2 or place.is_dir()):
        raise DataError(_LAW, f"no file {file}", "check the path")
    try:
        if not file.exists():
            return AutoConfig.from_pretrained(str(path), trust_remote_code=False)
        values = json.loads(file.read_text(encoding="utf-8"))
        kind = values["model_type"]
        return AutoConfig.for_model(**{**values, "model_type": kind})
    except FtaxError:
        raise
    except Exception as error:  # transformers raises anything
        raise DataError(
            _LAW, f"{path}: {one_line(error)}", "check the file, and the version of transformers"
        ) from error


def build(config: Any, *, device: str = "meta") -> Any:
    """The model of a configuration, of the class that it names, else of its type's base class; on the meta device.

    On another one its weights are random. Raises `InputError` where transformers cannot build it.
    """
    import torch
    import transformers

    named = [getattr(transformers, name, None) for name in getattr(config, "architectures", None) or []]
    try:
        with torch.device(device):
            if named and named[0] is not None:
                return named[0](config).eval()
            config.architectures = config.architectures or []
            return transformers.AutoModel.from_config(config).eval()
    except Exception as error:  # transformers raises anything
        law = "transformers builds the model of a configuration"
        raise InputError(law, f"{type(config).__name__}: {one_line(error)}", "mend the configuration") from error


def sweep(config: Any, *, tokens: int | None = None, batch_size: int = 1) -> ModuleSweep:
    """The traces of a configuration's model, as in `called`."""
    model, inputs, _ = called(config, tokens=tokens, batch_size=batch_size)
    return ModuleSweep(model, inputs)


def called(config: Any, *, tokens: int | None = None, batch_size: int = 1) -> tuple[Any, dict[str, Any], Trace]:
    """The model of a configuration, the first inputs of its class's that it takes, and the trace of that call.

    On the meta device; where values decide what runs, with random weights, if they are no more than `MOST_WEIGHT_BYTES`
    and a quarter of the memory that is free. Raises `InputError` with what it said to the first inputs where it takes
    none.
    """
    model = build(config)
    first: InputError | None = None
    told: dict[str, Any] | None = None
    for inputs in candidates(model, tokens=tokens, batch_size=batch_size):
        try:
            return model, inputs, trace(model, inputs)
        except InputError as error:
            first = first or error
            told = inputs if told is None and isinstance(error, ValuesError) else told
    if told is not None and _fits(model):
        real = {name: _zeros(value) for name, value in told.items()}
        with contextlib.suppress(InputError):
            return (model := build(config, device="cpu")), real, trace(model, real)
    got = f"{type(model).__name__}, of neither"
    raise first or InputError("a model takes text, images or sound", got, "trace it by --module")


def _fits(model: Any) -> bool:
    """Whether there is room for the weights of a model on the meta device."""
    needed = sum(one.numel() * one.element_size() for one in (*model.parameters(), *model.buffers()))
    return needed < MOST_WEIGHT_BYTES and bool(4 * needed < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _zeros(value: Any) -> Any:
    import torch

    return torch.zeros_like(value, device="cpu") if getattr(value, "is_meta", False) else value


def candidates(model: Any, *, tokens: int | None = None, batch_size: int = 1) -> Iterator[dict[str, Any]]:
    """Inputs that a model may take, most likely first: its main one, text, images, sound, and what goes with them."""
    parameters = inspect.signature(model.forward).parameters
    made = _Inputs(model.config, tuple(parameters), tokens=tokens, batch_size=batch_size)
    needed = [name for name, one in parameters.items() if one.default is one.empty and name in made.known]
    main = getattr(model, "main_input_name", "input_ids")
    images = [name for name in made.known if name.startswith("pixel_values")]
    sounds = [name for name in made.known if name in ("input_features", "input_values")]
    groups = [[main] if isinstance(main, str) else [*main], needed, *([name] for name in made.known)]
    groups += [["input_ids", *needed, name] for name in (*images, *sounds)]
    groups += [["input_ids", *images, *sounds], list(made.known)]
    seen = []
    for group in groups:
        names = list(dict.fromkeys(name for name in (*group, *needed) if name in made.known))
        for inputs in made.of(names):
            form = sorted((name, tuple(getattr(value, "shape", ()))) for name, value in inputs.items())
            if inputs and form not in seen:
                seen.append(form)
                yield inputs


_MOST = 12  # forms in which one group of inputs is tried


class _Inputs:
    """Inputs by name, in the shapes that a configuration tells; where it does not tell, in each that there is."""

    def __init__(self, config: Any, names: tuple[str, ...], *, tokens: int | None, batch_size: int) -> None:
        self._config, self._names, self._size, self._tokens = config, names, batch_size, tokens
        length, size = self._length(), batch_size
        side = self._number("image_size", "img_size", "input_size", "crop_size", default=224)
        channels = self._number("num_channels", "in_channels", "in_chans", default=3)
        image = (channels, side, self._second("image_size") or side)
        frames = self._number("num_frames", "frames_per_clip", default=8)
        patch = self._number("patch_size", "spatial_patch_size", default=16)
        flat = channels * patch * patch
        stacked = flat * self._number("temporal_patch_size", default=2)
        bins = self._number("num_mel_bins", "input_feat_per_channel", "feature_size", "input_dim", default=80)
        spectra = self._number("max_source_positions", default=0) * 2 or 100 * SECONDS
        sound = SECONDS * RATE // 1920 * 1920
        width = self._number("hidden_size", "d_model", default=768)
        past, ahead = (
            self._number("context_length", "prediction_length", default=24),
            self._number("prediction_length", default=24),
        )
        lags = max(getattr(config, "lags_sequence", None) or [0])
        series = self._number("num_input_channels", default=1)
        squares, grid = _GRID * _GRID, [[1, _GRID, _GRID]]
        text = self._ones(size, length)
        self.known: dict[str, list[Any]] = {
            "input_ids": [text],
            "pixel_values": [
                self._empty(size, *image),
                self._empty(size, frames, *image),
                self._empty(size, 2, *image),
                self._empty(squares, stacked),
                self._empty(size, squares, flat),
                self._empty(squares, flat),
                self._empty(squares, channels, patch, patch),
                self._empty(size, 1, *image),
                self._empty(size, 1, 1, *image),
            ],
            "pixel_values_videos": [self._empty(size, frames, *image)],
            "pixel_values_images": [self._empty(size, *image)],
            "input_features": [
                self._empty(size, 100 * SECONDS, bins),
                self._empty(size, bins, spectra),
                self._empty(size, 100 * SECONDS, 2 * bins),
                self._empty(size, 1, 1024, bins),
                self._empty(size, 100 * SECONDS, 4 * bins),
            ],
            "input_values": [
                self._empty(size, sound),
                self._empty(size, 1, sound),
                self._empty(size, self._number("max_length", default=1024), 128),
                self._ones(size, length),
            ],
            "inputs_embeds": [self._empty(size, length, width)],
            "hidden_states": [
                self._empty(squares, stacked),
                self._empty(size, length, width),
                self._empty(squares, flat),
                self._empty(squares, width),
                self._empty(size, width, length),
            ],
            "inputs": [self._empty(size, length, width), self._ones(size, length)],
            "query_embeds": [self._empty(size, 32, width)],
            "encoder_hidden_states": [
                self._empty(size, length, self._number("encoder_hidden_size", "hidden_size", default=width))
            ],
            "past_values": [
                self._empty(size, past + lags, series),
                self._empty(size, past + lags),
            ],
            "past_time_features": [self._empty(size, past + lags, self._number("num_time_features", default=1))],
            "past_observed_mask": [self._empty(size, past + lags)],
            "past_values_padding": [self._ones(size, past + lags) * 0],
            "freq": [self._ones(size, 1) * 0],
            "future_time_features": [self._empty(size, ahead, self._number("num_time_features", default=1))],
            "future_values": [self._empty(size, ahead)],
            "bbox": [self._ones(size, length, 4)],
            "grid_thw": [self._of(grid)],
            "image_grid_thw": [self._of(grid)],
            "merge_sizes": [self._of([1])],
            "spatial_shapes": [self._of([[_GRID, _GRID]] * size)],
            "pixel_attention_mask": [self._ones(size, squares)],
            "input_features_mask": [self._ones(size, 100 * SECONDS), self._ones(size, spectra)],
            "input_ids_mask": [text],
            "qformer_input_ids": [text],
            "task_inputs": [self._ones(size, 77)],
            "visual_feats": [self._empty(size, 36, self._number("visual_feat_dim", default=2048))],
            "visual_pos": [self._empty(size, 36, 4)],
            "prompt_pixel_values": [self._empty(size, *image)],
            "prompt_masks": [self._empty(size, *image)],
            "decoder_input_ids": [text],
        }
        self.known = {name: forms for name, forms in self.known.items() if name in names}

    def of(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """The inputs of these names, in each of their forms, with what goes with them."""
        besides = []
        if names and getattr(self._config, "is_encoder_decoder", False):
            besides.append("decoder_input_ids")
        besides += ["bbox"] if "input_ids" in names else []
        besides += ["past_time_features", "past_observed_mask", "future_time_features", "future_values"] * (
            "past_values" in names
        )
        besides += ["grid_thw", "merge_sizes"] * ("hidden_states" in names or "pixel_values" in names)
        names = list(dict.fromkeys(name for name in (*names, *besides) if name in self.known))
        cache = {"use_cache": False} if "use_cache" in self._names else {}
        for forms in itertools.islice(itertools.product(*(self.known[name] for name in names)), _MOST):
            yield {**dict(zip(names, forms, strict=True)), **cache}

    def _configs(self) -> Iterator[Any]:
        yield self._config
        for name in vars(self._config):
            if name.endswith("config") and hasattr(inside := getattr(self._config, name), "to_dict"):
                yield inside

    def _number(self, *names: str, default: int) -> int:
        """The first of these that the configuration, or one inside it, holds as a number."""
        for config in self._configs():
            for name in names:
                value = getattr(config, name, None)
                if isinstance(value, list | tuple) and value:
                    value = value[0]
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    return value
        return default

    def _second(self, name: str) -> int | None:
        value = getattr(self._config, name, None)
        return value[1] if isinstance(value, list | tuple) and len(value) > 1 else None

    def _length(self) -> int:
        most = self._number("max_position_embeddings", "n_positions", "max_seq_len", default=TOKENS)
        return self._tokens or min(TOKENS, most)

    @staticmethod
    def _empty(*shape: int) -> Any:
        import torch

        return torch.empty(shape, device="meta")

    @staticmethod
    def _ones(*shape: int) -> Any:
        import torch

        return torch.ones(shape, dtype=torch.long, device="cpu")

    @staticmethod
    def _of(values: list[Any]) -> Any:
        import torch

        return torch.tensor(values, dtype=torch.long, device="cpu")


_GRID = 16  # patches along each side of an image that comes in patches
